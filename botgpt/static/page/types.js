/**
 * What the API answers with, as far as the page reads it; the whole is at /docs.
 *
 * @typedef {object} Citation
 * @property {string} id
 * @property {number} number
 * @property {string|null} document_id null once the document is deleted
 * @property {string} document_name
 * @property {string} section
 * @property {number} page
 * @property {number} char_start in code points of the page's text
 * @property {number} char_end
 * @property {string} quote
 * @property {boolean} verified
 *
 * @typedef {object} Message
 * @property {string} id empty while the server has not taken the question yet
 * @property {string|null} parent_id
 * @property {string[]} sibling_ids
 * @property {"user"|"assistant"} role
 * @property {"pending"|"completed"|"failed"|"cancelled"|"interrupted"} status
 * @property {string} content
 * @property {string} model
 * @property {string} finish_reason
 * @property {{code: string, detail: string}|null} error
 * @property {Citation[]} citations
 * @property {"answered"|"partial"|"no_evidence"|null} grounding
 * @property {{prompt_tokens: number, completion_tokens: number, total_tokens: number,
 *   cost_usd: string}|null} usage
 * @property {number|null} duration_ms
 * @property {number} [passages] found for an answer that has no words yet
 *
 * @typedef {object} ConversationDetails
 * @property {string} id
 * @property {"open_chat"|"grounded_rag"} mode
 * @property {string} title
 * @property {boolean} archived
 * @property {string[]} document_ids
 * @property {number} message_count
 * @property {string} updated_at
 *
 * @typedef {object} LibraryDocument
 * @property {string} id
 * @property {string} name
 * @property {number} size in bytes
 * @property {"pending"|"processing"|"ready"|"failed"} status
 * @property {{code: string, detail: string}|null} error
 * @property {number} page_count
 * @property {number} pages_done
 *
 * @typedef {object} Match a title or message that a search found
 * @property {string} conversation_id
 * @property {string} title
 * @property {string|null} message_id
 * @property {string} snippet
 * @property {[number, number][]} highlights in code points
 *
 * @typedef {object} Page
 * @property {string} document_id
 * @property {string} document_name
 * @property {number} number
 * @property {number} page_count
 * @property {string} text
 */

/**
 * @template T
 * @typedef {{count: number, next: string|null, results: T[]}} List
 */

export {};
