"""What the README points to is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_file_that_the_readme_shows_or_links_exists():
    targets = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    local = [target for target in targets if "://" not in target]
    assert local and all((ROOT / target).is_file() for target in local)
