"""The plugin of pytest under its former name, which an editable install that was made before still loads."""

from gradmirror_pytest import assert_twin as assert_twin
