package plugin

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Duration is a span of time in a config: "10s", "1m30s", "250ms".
type Duration time.Duration

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes d as Go does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %q: want a number and a unit, such as 10s or 1m30s", text)
	}
	*d = Duration(v)
	return nil
}

// A Secret is a setting that must not be seen. It prints as *** wherever it might be printed by accident.
type Secret string

const masked = "***"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns ***, or nothing for no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString returns the same as String, quoted.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// MarshalText returns the same as String, so that JSON, YAML and slog do not show the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalJSON reads a string.
func (s *Secret) UnmarshalJSON(text []byte) error {
	var v string
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("secret: want a string")
	}
	*s = Secret(v)
	return nil
}
