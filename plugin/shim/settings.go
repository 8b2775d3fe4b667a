package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Settings are those of a program, whatever an operator writes. They reach it as its environment: the setting level as PW_LEVEL.
type Settings map[string]json.RawMessage

// longestSetting is a little less than what the system lets one entry of an environment have.
const longestSetting = 120 << 10

// Validate tells of settings that no environment can hold, and of two that would be one there.
func (s Settings) Validate() error {
	var faults []error
	taken := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		name, value := variable(key), text(s[key])
		switch other, twice := taken[name]; {
		case twice:
			faults = append(faults, fmt.Errorf("%s: reaches the program as %s, and so does %s: give one of them another name", key, name, other))
		case strings.Contains(value, "\x00"):
			faults = append(faults, fmt.Errorf("%s: has a NUL in it, which no environment can hold", key))
		case len(value) > longestSetting:
			faults = append(faults, fmt.Errorf("%s: has %d bytes, and a program gets %d at most: put it into a file and name that", key, len(value), longestSetting))
		}
		taken[name] = key
	}
	return errors.Join(faults...)
}

// environ returns the settings as entries of an environment. One that is null is none.
func (s Settings) environ() []string {
	var env []string
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if string(s[key]) != "null" {
			env = append(env, variable(key)+"="+text(s[key]))
		}
	}
	return env
}

// variable is the name that a setting has in the environment.
func variable(key string) string {
	return "PW_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

// text returns a string as it is, and everything else as JSON.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return string(raw)
	}
	return compact.String()
}
