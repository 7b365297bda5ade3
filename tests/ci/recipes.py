"""Helpers for the tests of the recipes."""

from typing import Final

ZAP: Final = """
zap() {
  cat <<END
<?xml version="1.0"?>
<OWASPZAPReport generated="${DATE:-$(LC_ALL=C date -u "+%a, %d %b %Y %H:%M:%S")}"><site name="http://shop.example"><alerts>
<alertitem><alert>SQL Injection</alert><riskcode>1</riskcode><cweid>89</cweid>
<uri>http://shop.example/login</uri><param>user</param></alertitem>
</alerts></site></OWASPZAPReport>
END
}
"""
"""A function for the shell that prints a report of ZAP with the date $DATE, or now."""
