"""The preview: how a text will look and how many messages it will be."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.sending import Sending, sending

SIXTY = "Let's see how many characters remain unused in this message."
TURKISH = (
    "Mesaj gönderimi yapmadan önce önizleme seçeneğini kullanmanız doğru karar vermenize "
    "yardımcı olur."
)


@pytest.fixture
async def provider() -> AsyncIterator[Sending]:
    async with sending() as served:
        yield served


async def test_sixty_characters(provider: Sending) -> None:
    """60 characters of GSM 7-bit are one message, with 100 remaining."""
    assert await provider.post("/sms/1/preview", {"text": SIXTY}) == (
        200,
        {
            "originalText": SIXTY,
            "previews": [
                {
                    "textPreview": SIXTY,
                    "messageCount": 1,
                    "charactersRemaining": 100,
                    "configuration": {},
                }
            ],
        },
    )


async def test_with_a_language(provider: Sending) -> None:
    """With a language there is a second preview, with the figures that the provider documents."""
    _, answer = await provider.post("/sms/1/preview", {"text": TURKISH, "languageCode": "TR"})

    plain, turkish = answer["previews"]
    assert (plain["messageCount"], plain["charactersRemaining"]) == (2, 36)
    assert (turkish["messageCount"], turkish["charactersRemaining"]) == (1, 57)
    assert (plain["configuration"], turkish["configuration"]) == (
        {},
        {"language": {"languageCode": "TR"}},
    )


async def test_with_a_transliteration(provider: Sending) -> None:
    """With a transliteration the second preview is of the text that will be sent."""
    _, answer = await provider.post(
        "/sms/1/preview", {"text": "Δοκιμή", "transliteration": "GREEK"}
    )

    plain, greek = answer["previews"]
    assert (plain["textPreview"], greek["textPreview"]) == ("Δοκιμή", "ΔOKIMH")
    assert greek["configuration"] == {"transliteration": "GREEK"}


async def test_in_xml(provider: Sending) -> None:
    """In XML the items of `previews` are called previews again."""
    answer = await provider.post_xml(
        "/sms/1/preview",
        f"<PreviewRequest><text>{TURKISH}</text><languageCode>TR</languageCode></PreviewRequest>",
    )

    plain, turkish = answer["PreviewResponse"]["previews"]["previews"]
    assert plain["configuration"] is None
    assert turkish["configuration"] == {"language": {"languageCode": "TR"}}


async def test_nothing_is_sent(provider: Sending) -> None:
    """A preview sends nothing, and a text is needed for it."""
    assert (await provider.post("/sms/1/preview", {}))[0] == 400
    assert (await provider.post("/sms/1/preview", {"text": ""}))[0] == 200
    assert provider.sandbox.sent == []
