package child

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestLog(t *testing.T) {
	var out bytes.Buffer
	hand := Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return dropTime(a) },
	})), slog.LevelError)
	f := func(line, want string) {
		t.Helper()
		out.Reset()
		if hand([]byte(line)); out.String() != want {
			t.Errorf("%q: %q, want %q", line, out.String(), want)
		}
	}
	f("W! it is late", "level=WARN msg=\"program printed\" line=\"it is late\"\n")
	f("T! detail", "level=DEBUG msg=\"program printed\" line=detail\n")
	f("  plain  ", "level=ERROR msg=\"program printed\" line=plain\n")
	f(`{"level":"WARN","msg":"x"}`, `level=WARN msg="program printed" line="{\"level\":\"WARN\",\"msg\":\"x\"}"`+"\n")
	f("{", "level=ERROR msg=\"program printed\" line={\n")
	f("bad \xff", "level=ERROR msg=\"program printed\" line=\"bad \uFFFD\"\n")
	f("  ", "")
}

func dropTime(a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
