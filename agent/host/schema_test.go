package host

import (
	"encoding/json"
	"testing"
)

// What does not fit the schema that a plugin has told is said with the way out, and without the value: it may be a secret.
func TestFits(t *testing.T) {
	const schema = `{"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
		"path": {"type": "string"}, "limit": {"type": "integer", "minimum": 1, "maximum": 9}}}`
	f := func(settings, want string) {
		t.Helper()
		got := ""
		if err := fits(json.RawMessage(schema), json.RawMessage(settings)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", settings, got, want)
		}
	}
	f(`{"path": "/tmp"}`, "")
	f(`{}`, `setting "path" is missing`)
	f(`{"path": "", "limt": 3}`, `it has no setting "limt": did you mean limit?`)
	f(`{"path": "", "colour": 3}`, `it has no setting "colour"`)
	f(`{"path": 3}`, `setting "path": want text`)
	f(`{"path": "", "limit": 10}`, `setting "limit": want a number from 1 to 9`)
	f(`{"path": true, "limit": "x"}`, `setting "limit": want a whole number; setting "path": want text`)
}
