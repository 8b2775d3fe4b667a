package shim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func settings(t *testing.T, text string) (s Settings) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSettings(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		s := settings(t, text)
		if got := s.environ(); !slices.Equal(got, want) || s.Validate() != nil {
			t.Errorf("%s: %q, %v; want %q", text, got, s.Validate(), want)
		}
	}
	f(`{}`)
	f(`{"level": 3, "path": "/var/log", "on": true, "off": null}`, "PW_LEVEL=3", "PW_ON=true", "PW_PATH=/var/log")
	f(`{"deep": {"b": [1, 2.50], "a": "x"}}`, `PW_DEEP={"b":[1,2.50],"a":"x"}`)
	f(`{"a-b.c d": "", "ÄÖ": 1}`, "PW_A_B_C_D=", "PW___=1")
	f(`{"big": 12345678901234567890, "text": "a\nb=c"}`, "PW_BIG=12345678901234567890", "PW_TEXT=a\nb=c")
}

func TestSettingsThatNoProgramCanGet(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		err := settings(t, text).Validate()
		if err == nil {
			t.Fatalf("%.60s: taken", text)
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%.60s: %v does not say %q", text, err, part)
			}
		}
	}
	f(`{"a-b": 1, "a_b": 2}`, "a_b: reaches the program as PW_A_B, and so does a-b")
	f(`{"key": 1, "KEY": 2}`, "PW_KEY")
	f(`{"a": "x\u0000y"}`, "a: has a NUL")
	f(`{"a": "`+strings.Repeat("x", longestSetting+1)+`"}`, "a: has 122881 bytes")
	f(`{"a": "\u0000", "b-": 1, "b_": 2}`, "a: has a NUL", "b_: reaches")
}
