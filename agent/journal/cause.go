package journal

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Cause returns what a line that a process printed to stderr before its end says of why it ended: the message and the error of
// a record of a log, a text as it is, and "" for one below a warning. A record whose level is that of an error is whole: what
// was printed before it adds nothing.
func Cause(line string) (cause string, whole bool) {
	r := Read("stderr", []byte(line))
	if r.Level < slog.LevelWarn {
		return "", false
	}
	whole = r.told && r.Level >= slog.LevelError
	if !r.json {
		return logfmtCause(r.Message), whole
	}
	for _, a := range r.Attrs {
		if isError(a.Key) {
			return said(r.Message, a.Value.String()), whole
		}
	}
	return r.Message, whole
}

func isError(key string) bool {
	return slices.Contains([]string{"error", "err", "cause", "exception"}, key)
}

// said puts the message and the error of a record together.
func said(message, fault string) string {
	if fault == "" || strings.Contains(message, fault) {
		return message
	}
	return message + ": " + fault
}

// logfmtCause returns the message and the error of a line as slog and logrus write it, any other text as it is.
func logfmtCause(line string) string {
	message, fault, rest := "", "", line
	for rest != "" {
		key, behind, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(key, ` "`) {
			return line
		}
		var value string
		value, rest = logfmtValue(behind)
		switch {
		case key == "msg" || key == "message":
			message = value
		case isError(key) && fault == "":
			fault = value
		}
	}
	if message == "" {
		return line
	}
	return said(message, fault)
}

// logfmtValue cuts a value, which may be quoted, from what stands behind its key.
func logfmtValue(text string) (value, rest string) {
	if quoted, err := strconv.QuotedPrefix(text); err == nil && quoted[0] == '"' {
		value, _ = strconv.Unquote(quoted)
		return value, strings.TrimLeft(text[len(quoted):], " ")
	}
	value, rest, _ = strings.Cut(text, " ")
	return value, strings.TrimLeft(rest, " ")
}
