"""The messages of each receiver, within its limits. All text is data: each format's own escaping is applied to it."""

from .run import cut, one_line, text


def webhook(run):
    main = run.main
    return {
        "context": {key: main.get(key) for key in ("owner", "project", "uuid", "name")},
        "title": run.title, "details": run.details, "status": run.status, "finished_at": main.get("finished_at"),
        "main": main,
    }


def slack_escaped(value):
    """https://docs.slack.dev/messaging/formatting-message-text: three characters make links and mentions."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain_markdown(value):
    """Text of which Markdown makes nothing: every punctuation mark may be escaped (CommonMark 2.4)."""
    return "".join("\\" + character if character in "\\`*_{}[]()<>#+-.!|~@:" else character for character in value)


def code_block(value):
    """Lines as they are, in a fence that they cannot close."""
    return "```\n" + value.replace("```", "'''") + "\n```"


def attachment(run, escape, limit):
    """An attachment as Slack has it, which Mattermost understands too."""
    facts = [
        {"title": escape(cut(one_line(name), 100)), "value": escape(cut(one_line(value), 500)), "short": len(value) < 40}
        for name, value in run.facts()
    ]
    body = escape(cut(run.details, limit // 2))
    tail = run.log_tail() if run.inputs.get("logs") else ""
    if tail:
        body += "\n" + code_block(escape(tail[-(limit // 3):]))
    title = escape(cut(one_line(run.title), 250))
    built = {
        "fallback": title, "title": title, "text": body, "fields": facts, "mrkdwn_in": [], "footer": "Postlude",
        "color": run.colour,
    }
    if tail:
        built["mrkdwn_in"] = ["text"]
    if run.inputs.get("link"):
        built["title_link"] = text(run.inputs["link"])
    return built


def slack(run):
    # A message has at most 40000 characters; beyond some 3000 people read no further.
    body = {"attachments": [attachment(run, slack_escaped, 3000)]}
    if run.setting("channel"):
        body["channel"] = one_line(run.setting("channel"))
    return body


def mattermost(run):
    # 16383 characters for the whole post.
    body = {"attachments": [attachment(run, plain_markdown, 3000)]}
    for key in ("channel", "username"):
        if run.setting(key):
            body[key] = one_line(run.setting(key))
    return body


DISCORD_LIMIT = 2000


def discord(run):
    lines = ["**" + plain_markdown(cut(one_line(run.title), 250)) + "**", plain_markdown(cut(run.details, 700))]
    for name, value in run.facts():
        lines.append(plain_markdown(cut(one_line(name), 60)) + ": " + plain_markdown(cut(one_line(value), 120)))
    if run.inputs.get("link"):
        lines.append("<" + one_line(run.inputs["link"]) + ">")
    # Discord counts UTF-16 units, as its clients do. No text of a run may ring somebody.
    body = {
        "username": cut(one_line(run.setting("username", "Postlude")), 80), "tts": False,
        "content": cut("\n".join(lines), DISCORD_LIMIT, "utf16"), "allowed_mentions": {"parse": []},
    }
    if run.setting("avatar_url"):
        body["avatar_url"] = run.setting("avatar_url")
    return body


def teams(run):
    facts = [
        {"name": cut(one_line(name), 100), "value": plain_markdown(cut(one_line(value), 300))}
        for name, value in run.facts()
    ]
    # A card has at most 28 KB, counted as UTF-16.
    card = {
        "@type": "MessageCard", "@context": "https://schema.org/extensions", "themeColor": run.colour.lstrip("#"),
        "summary": cut(one_line(run.title), 250), "title": plain_markdown(cut(one_line(run.title), 250)),
        "sections": [{"text": plain_markdown(cut(run.details, 2000)), "facts": facts, "markdown": True}],
    }
    if run.inputs.get("link"):
        card["potentialAction"] = [{
            "@type": "OpenUri", "name": "Open", "targets": [{"os": "default", "uri": text(run.inputs["link"])}]}]
    return card


def teams_accepts(code, answer):
    """A connector says 200 and then tells in the body that the channel did not take the card."""
    return "delivery failed" not in answer.lower() and "HTTP error" not in answer


def pagerduty(run):
    main = run.main
    event = run.inputs.get("event") or "trigger"
    body = {
        "service_key": run.require("service_key", "the integration key of a service"), "event_type": event,
        "incident_key": cut(one_line(run.inputs.get("incident_key") or main.get("uuid") or run.name), 255),
        "description": cut(one_line(f"{run.title}: {run.details}"), 1024),
        "details": {
            **{cut(one_line(name), 100): cut(one_line(value), 1000) for name, value in run.facts()},
            "log": cut(run.log_tail(), 4000),
        },
        "client": "Postlude",
    }
    if run.inputs.get("link"):
        body["client_url"] = text(run.inputs["link"])
        body["contexts"] = [{"type": "link", "href": text(run.inputs["link"]), "text": cut(one_line(run.title), 250)}]
    return body


NTFY_PRIORITY = {"failed": 4, "upstream_failed": 4}
NTFY_TAGS = {
    "succeeded": "white_check_mark", "failed": "x", "upstream_failed": "x", "stopped": "stop_sign",
    "skipped": "fast_forward",
}


def ntfy(run):
    lines = [run.details] + [f"{one_line(name)}: {one_line(value)}" for name, value in run.facts()]
    # A server turns what is longer than 4096 bytes into an attachment.
    body = {
        "topic": one_line(run.require("topic", "the topic to publish to")),
        "title": cut(one_line(run.title), 250, "bytes"), "message": cut("\n".join(lines), 4000, "bytes"),
        "priority": run.inputs.get("priority") or NTFY_PRIORITY.get(run.status, 3),
        "tags": run.inputs.get("tags") or [NTFY_TAGS.get(run.status, "grey_question")],
    }
    if run.inputs.get("link"):
        body["click"] = text(run.inputs["link"])
    return body
