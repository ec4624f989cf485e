"""What OpenAI's chat API takes, and what becomes of it here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations.openai.errors import UnknownModel
from conversations.serializers import (
    MESSAGE_CHARS,
    MOST_TOKENS,
    SamplingSerializer,
    require_effort,
)
from documents.serializers import (
    IDS_AT_ONCE,
    BoundedListField,
    FlagField,
    TextField,
    WholeNumberField,
)
from llm import catalogue
from llm.messages import ChatMessage

# After a model's name, for clients that can choose nothing else.
ALL_DOCUMENTS = ":documents"
# What a client may send without meaning it, by field: all else would change the answer.
MEANS_NOTHING: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "tools": (None, []),
    "functions": (None, []),
    "response_format": (None, {"type": "text"}),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "web_search_options": (None,),
}
INLINE = "Text in the request is not searched: upload it under /openai/v1/files and give its id."


@dataclass(frozen=True, slots=True)
class Content:
    """What one message says, and the files that it names."""

    text: str
    file_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: the question, what was said before, and how it is to be answered."""

    question: str
    history: tuple[ChatMessage, ...]
    system_prompt: str
    model: str
    grounded: bool
    file_ids: tuple[str, ...]
    options: dict[str, Any]
    user: str | None
    stream: bool
    usage_in_stream: bool


@extend_schema_field(OpenApiTypes.STR)
class ChatModelField(TextField):
    """A model, and whether all documents are to be searched: `name` or `name:documents`."""

    def to_internal_value(self, data: Any) -> Any:
        """The catalogue's name and that. Raises UnknownModel."""
        given = super().to_internal_value(data)
        name = given.removesuffix(ALL_DOCUMENTS)
        try:
            return catalogue.find(name).name, name != given
        except catalogue.UnknownModel as error:
            raise UnknownModel(f"The model {given!r} does not exist. {error}") from error


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        ]
    }
)
class ContentField(serializers.Field[Any, Any, Any, Any]):
    """Text, or parts of type `text` and `file`."""

    def to_internal_value(self, data: Any) -> Content:
        """Raises ValidationError for parts that cannot be read."""
        if data is None:
            return Content("")
        if isinstance(data, str):
            return Content(_text(data))
        if not isinstance(data, list) or not all(isinstance(part, Mapping) for part in data):
            raise serializers.ValidationError("Give text, or a list of parts.")
        texts, ids = [], []
        for part in data:
            kind = part.get("type")
            if kind in ("text", "refusal"):
                texts.append(part.get(kind))
            elif kind == "file":
                ids.append(_id_of_part(part))
            else:
                text = f"Parts of type {kind!r} are not supported: the models here read text alone."
                raise serializers.ValidationError(text)
        if not all(isinstance(text, str) for text in texts):
            raise serializers.ValidationError("A text part has its text under `text`.")
        return Content(_text("\n\n".join(texts)), tuple(ids))

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """None is content too: nothing is said."""
        return self.to_internal_value(None if data is serializers.empty else data)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "format": "uuid"},
            {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string", "format": "uuid"}},
            },
        ]
    }
)
class DocumentField(serializers.Field[Any, Any, Any, Any]):
    """An uploaded file, by its id or as `{"id": ...}`."""

    def to_internal_value(self, data: Any) -> str:
        """Raises ValidationError for a document whose text comes with the request."""
        if isinstance(data, Mapping):
            if data.get("source"):
                raise serializers.ValidationError(INLINE)
            data = data.get("id")
        if not isinstance(data, str):
            raise serializers.ValidationError("Give the id of an uploaded file.")
        return data


class ChatMessageSerializer(serializers.Serializer[Any]):
    """A message of the chat so far."""

    role = serializers.ChoiceField(["system", "developer", "user", "assistant"])
    content = ContentField(
        required=False, help_text="Text, or parts of type `text` and `file` (with a `file_id`)."
    )

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError for a message that calls a tool."""
        if isinstance(data, Mapping) and (data.get("tool_calls") or data.get("function_call")):
            raise serializers.ValidationError({"tool_calls": ["Tools are not supported."]})
        return super().to_internal_value(data)


class StreamOptionsSerializer(serializers.Serializer[Any]):
    """Options of a stream."""

    include_usage = FlagField(default=False)


class ChatSerializer(SamplingSerializer):
    """A request of OpenAI's chat API; fields not listed are ignored, or refused by name."""

    refuses_unknown = False
    model = ChatModelField(
        help_text="A name of /openai/v1/models; `:documents` after it searches all your files."
    )
    messages = ChatMessageSerializer(
        many=True,
        allow_empty=False,
        help_text="The whole chat, oldest first; the last is the question.",
    )
    max_tokens = WholeNumberField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_TOKENS,
        help_text="The former name of `max_completion_tokens`.",
    )
    stream = FlagField(default=False, allow_null=True)
    stream_options = StreamOptionsSerializer(required=False, allow_null=True)
    documents = BoundedListField(
        child=DocumentField(),
        required=False,
        allow_null=True,
        max_length=IDS_AT_ONCE,
        help_text="Files that the answer has to rest on, by their ids.",
    )
    file_ids = BoundedListField(
        child=TextField(),
        required=False,
        allow_null=True,
        max_length=IDS_AT_ONCE,
        help_text="The same.",
    )
    user = TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="Where X-User-ID is left out: a UUID says for whom a service key acts.",
    )

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError for what is not supported and would change the answer."""
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        if meant := [
            name for name, nothing in MEANS_NOTHING.items() if data.get(name) not in nothing
        ]:
            text = "This is not supported here: leave it out."
            raise serializers.ValidationError({name: [text] for name in meant})
        return super().to_internal_value({name: data[name] for name in self.fields if name in data})

    def validate_messages(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The last one but for instructions is a question."""
        said = [one for one in messages if one["role"] in ("user", "assistant")]
        if not said or said[-1]["role"] != "user" or not said[-1]["content"].text.strip():
            raise serializers.ValidationError("The last message has to be a question of the user.")
        if len(_instructions(messages)) > MESSAGE_CHARS:
            text = f"The instructions are longer than {MESSAGE_CHARS} characters together."
            raise serializers.ValidationError(text)
        return messages

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """So many documents at most, wherever they are named, and an effort of the model's."""
        require_effort(attrs.get("reasoning_effort"), attrs["model"][0])
        if len(_file_ids(attrs)) > IDS_AT_ONCE:
            text = f"More than {IDS_AT_ONCE} files are named: leave them out to search all."
            raise serializers.ValidationError({"file_ids": [text]})
        return attrs

    def asked(self) -> Asked:
        """The request, once it is valid."""
        fields: dict[str, Any] = dict(self.validated_data)
        model, all_documents = fields["model"]
        *before, question = (
            one for one in fields["messages"] if one["role"] in ("user", "assistant")
        )
        named = _file_ids(fields)
        return Asked(
            question=question["content"].text,
            history=tuple(
                ChatMessage(one["role"], one["content"].text)
                for one in before
                if one["content"].text.strip()
            ),
            system_prompt=_instructions(fields["messages"]),
            model=model,
            grounded=all_documents or bool(named),
            file_ids=named,
            options=self._options(fields),
            user=fields.get("user"),
            stream=bool(fields["stream"]),
            usage_in_stream=bool((fields.get("stream_options") or {}).get("include_usage")),
        )

    def _options(self, fields: dict[str, Any]) -> dict[str, Any]:
        sampling = self.take_sampling(fields)
        sampling["max_completion_tokens"] = sampling.get("max_completion_tokens") or fields.get(
            "max_tokens"
        )
        model, _ = fields["model"]
        given = {name: value for name, value in sampling.items() if value is not None}
        return given | {"model": model}


def _file_ids(fields: dict[str, Any]) -> tuple[str, ...]:
    """The files that a request names, each once."""
    named = [*(fields.get("documents") or ()), *(fields.get("file_ids") or ())]
    named += [pk for one in fields["messages"] for pk in one["content"].file_ids]
    return tuple(dict.fromkeys(named))


def _instructions(messages: list[dict[str, Any]]) -> str:
    """The system's messages as one text."""
    texts = [one["content"].text for one in messages if one["role"] in ("system", "developer")]
    return "\n\n".join(text for text in texts if text.strip())


def _text(text: str) -> str:
    """A message's text, as long as messages may be. Raises ValidationError."""
    checked = TextField(max_length=MESSAGE_CHARS, trim_whitespace=False, allow_blank=True)
    return str(checked.run_validation(text))


def _id_of_part(part: Mapping[str, Any]) -> str:
    file = part.get("file")
    found = file.get("file_id") if isinstance(file, Mapping) else None
    if not isinstance(found, str):
        raise serializers.ValidationError(INLINE)
    return found
