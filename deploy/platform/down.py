"""`make down`: stop the platform of this checkout (or of FOOTLIGHTS_HOME) from another terminal."""

from __future__ import annotations

from deploy.platform.home import Home, default_home, down


def main() -> None:
    home = Home(default_home())
    print("Stopped." if down(home) else f"Nothing ran in {home.path}.")


if __name__ == "__main__":
    main()
