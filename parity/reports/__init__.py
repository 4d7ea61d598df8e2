"""What an audit leaves behind: JSON, HTML, Markdown, JUnit and words, and what its result may depend on besides.

Reading order: `documents`, `archive`, `verdict`, `sections`, `plot`; `environment`, `fingerprint`, `hashes`.
"""
