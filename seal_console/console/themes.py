"""The console's own themes: dark, light, and one of high contrast. Any other theme of Textual can be named too."""

from __future__ import annotations

from textual.theme import Theme

DARK, LIGHT, CONTRAST = "seal-dark", "seal-light", "seal-contrast"

THEMES = (
    Theme(
        name=DARK,
        primary="#7aa2f7", secondary="#9ece6a", accent="#ffc777", foreground="#d5daf0", background="#16181f",
        surface="#1b1e27", panel="#262a37", success="#9ece6a", warning="#ffb86c", error="#ff8080", dark=True,
        variables={
            "border": "#414868", "block-cursor-foreground": "#10131a", "block-cursor-blurred-background": "#2f3549",
            "text-muted": "#9aa0b8",
        },
    ),
    Theme(
        name=LIGHT,
        primary="#1f4fa3", secondary="#2f6f2f", accent="#7a4b00", foreground="#1b1f2a", background="#f4f4f0",
        surface="#fbfbf8", panel="#e6e6df", success="#1f6b2c", warning="#8a4b00", error="#a8201a", dark=False,
        variables={"border": "#9a9a90", "block-cursor-blurred-background": "#d5dbe8", "text-muted": "#565b68"},
    ),
    Theme(
        name=CONTRAST,
        primary="#ffff00", secondary="#00ffff", accent="#ffff00", foreground="#ffffff", background="#000000",
        surface="#000000", panel="#1a1a1a", success="#00ff00", warning="#ffff00", error="#ff9090", dark=True,
        variables={
            "border": "#ffffff", "block-cursor-background": "#ffff00", "block-cursor-foreground": "#000000",
            "block-cursor-blurred-background": "#444444", "text-muted": "#ffffff", "footer-key-foreground": "#ffff00",
        },
    ),
)  # fmt: skip


def next_theme(name: str) -> str:
    """Return the theme after this one, of the console's own."""
    names = [theme.name for theme in THEMES]
    return names[(names.index(name) + 1) % len(names)] if name in names else DARK
