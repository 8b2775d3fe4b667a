package journal

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
)

// levelName returns the name of a level on the wire.
func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

// ParseLevel returns the level that a word names, as programs of all sorts call it.
func ParseLevel(word string) (slog.Level, bool) {
	switch strings.ToLower(word) {
	case "trace", "debug", "dbg", "verbose", "t!", "d!":
		return slog.LevelDebug, true
	case "info", "inf", "information", "notice", "i!":
		return slog.LevelInfo, true
	case "warn", "wrn", "warning", "w!":
		return slog.LevelWarn, true
	case "error", "err", "eror", "severe", "critical", "crit", "alert", "emerg", "emergency", "fatal", "panic", "dpanic", "e!":
		return slog.LevelError, true
	}
	return 0, false
}

// valueLevel returns the level in a JSON record: a word, one of slog such as INFO+2, or a number of pino and bunyan.
func valueLevel(v any) (slog.Level, bool) {
	switch v := v.(type) {
	case string:
		if level, ok := ParseLevel(v); ok {
			return level, true
		}
		var level slog.Level
		return level, level.UnmarshalText([]byte(v)) == nil
	case json.Number:
		n, err := v.Int64()
		if err != nil || n < 10 || n > 60 {
			return 0, false
		}
		return slog.Level((n - 30) / 10 * 4), true // 20 debug, 30 info, 40 warn, 50 error
	}
	return 0, false
}

// mark finds the mark of a level in a text: of syslog (<3>), which is cut off, a word at the beginning (ERROR, [warn],
// Warning:, E!), be it behind a time, one letter as glog writes it, or level= of logfmt.
func mark(line []byte) (level slog.Level, rest []byte, told bool) {
	if level, rest, told = priority(line); told {
		return level, rest, true
	}
	if level, told = glog(line); told {
		return level, line, true
	}
	if level, told = leading(line); told {
		return level, line, true
	}
	level, told = logfmt(line)
	return level, line, told
}

// priority reads <0> to <7>, as systemd knows them.
func priority(line []byte) (slog.Level, []byte, bool) {
	if len(line) < 3 || line[0] != '<' || line[2] != '>' || line[1] < '0' || line[1] > '7' {
		return 0, nil, false
	}
	level := slog.LevelError
	switch n := line[1]; {
	case n == '7':
		level = slog.LevelDebug
	case n >= '5':
		level = slog.LevelInfo
	case n == '4':
		level = slog.LevelWarn
	}
	return level, line[3:], true
}

// glog reads lines such as "E0102 03:04:05.678901 1 file.go:2] text".
func glog(line []byte) (slog.Level, bool) {
	if len(line) < 6 || line[5] != ' ' || !digits(line[1:5]) {
		return 0, false
	}
	switch line[0] {
	case 'I':
		return slog.LevelInfo, true
	case 'W':
		return slog.LevelWarn, true
	case 'E', 'F':
		return slog.LevelError, true
	}
	return 0, false
}

// leadWords is how many words behind a time may be a level: the name of a logger and of a thread often stand before it.
const leadWords = 4

// leading reads a word that is the level: the first of the line or, where the line begins with a time, one of the first.
func leading(line []byte) (slog.Level, bool) {
	left := 1
	for range 2 + leadWords {
		var word []byte
		word, line = nextWord(line)
		switch {
		case len(word) == 0 || left == 0:
			return 0, false
		case timeLike(word):
			left = leadWords
			continue
		}
		if level, ok := markedLevel(word); ok {
			return level, true
		}
		left--
	}
	return 0, false
}

func nextWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

// timeLike reports whether a word is a date or a time of day, possibly in brackets.
func timeLike(word []byte) bool {
	word = bytes.Trim(word, "[]()")
	return len(word) >= 5 && word[0] >= '0' && word[0] <= '9' && len(bytes.Trim(word, "0123456789-:/.,+TZ")) == 0
}

// markedLevel returns the level that a word is, if it looks like a mark and not like a word of a sentence: in capitals, in
// brackets, or before a colon.
func markedLevel(word []byte) (slog.Level, bool) {
	if i := bytes.IndexByte(word, ':'); i > 0 { // ERROR:root:text
		word = word[:i+1]
	}
	name := bytes.Trim(word, "[]()<>|:")
	if len(name) == 0 || len(name) > len("information") {
		return 0, false
	}
	if len(name) == len(word) && !bytes.Equal(name, bytes.ToUpper(name)) {
		return 0, false
	}
	return ParseLevel(string(name))
}

// logfmt reads level=warn, or the like, anywhere in a line.
func logfmt(line []byte) (slog.Level, bool) {
	for _, key := range []string{"level=", "lvl=", "severity="} {
		i := bytes.Index(line, []byte(key))
		if i < 0 || i > 0 && line[i-1] != ' ' {
			continue
		}
		value, _ := nextWord(line[i+len(key):])
		if level, ok := ParseLevel(string(bytes.Trim(value, `"`))); ok {
			return level, true
		}
	}
	return 0, false
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
