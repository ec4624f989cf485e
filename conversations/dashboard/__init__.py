"""The dashboard of the admin: what happens, over hours and days.

It is a page of Django's own admin. django-unfold 0.91 was tried: its Alpine.js needs `unsafe-eval`,
without which its search dialog covers every page, the login too (66 to 90 breaches a page).
"""
