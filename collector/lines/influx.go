package lines

import (
	"encoding/json"
	"net/http"
	"strings"
)

// influxVersion is what clients that ask are told: the InfluxDB whose way of writing this is.
const influxVersion = "1.8-pacewire"

// A dialect is how one version of InfluxDB tells that something went wrong.
type dialect interface {
	fail(status int, message string)
}

type version1 struct{ http.ResponseWriter }

func (w version1) fail(status int, message string) {
	w.Header().Set("X-Influxdb-Error", header(message))
	answer(w, status, map[string]any{"error": message})
}

type version2 struct{ http.ResponseWriter }

func (w version2) fail(status int, message string) {
	code := codes[status]
	w.Header().Set("X-Platform-Error-Code", code)
	answer(w, status, map[string]any{"code": code, "message": message})
}

// codes are the names that version 2 has for the statuses.
var codes = map[int]string{
	http.StatusBadRequest:            "invalid",
	http.StatusUnauthorized:          "unauthorized",
	http.StatusRequestEntityTooLarge: "request too large",
	http.StatusUnsupportedMediaType:  "unsupported media type",
	http.StatusServiceUnavailable:    "unavailable",
}

// header returns the first line of text, as a header can hold it.
func header(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, line)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// answerQuery says to any query that it is done and has no results: clients make their database before they write, or ask
// whether the server is there.
func answerQuery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"results": []any{map[string]any{"statement_id": 0}}})
}

func answerHealth(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"name": "pacewire", "status": "pass", "message": "ready for writes", "checks": []any{}, "version": influxVersion})
}
