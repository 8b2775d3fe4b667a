package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A flood of subjects gets twenty lines a minute, however many minutes it lasts, and the rest is counted.
func TestBadRequestsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		var b badRequests
		log := slog.New(slog.NewTextHandler(&out, nil))
		f := func(minute, subjects, lines, suppressed int) {
			t.Helper()
			out.Reset()
			for range 3 { // each subject three times
				for i := range subjects {
					b.refuse(log, ruleBody, fmt.Sprintf("pw.ctl.h1.p%d.%d", minute, i), errors.New("bad"))
				}
			}
			if n := strings.Count(out.String(), "\n"); n != lines {
				t.Errorf("minute %d: %d lines; want %d", minute, n, lines)
			}
			told := strings.Contains(out.String(), fmt.Sprintf("suppressed=%d\n", suppressed))
			if told != (suppressed > 0) || strings.Count(out.String(), "suppressed") > 1 {
				t.Errorf("minute %d: want %d suppressed once in\n%s", minute, suppressed, out.String())
			}
			time.Sleep(time.Minute)
		}
		f(1, 1, 1, 0)
		f(2, 5000, 20, 0)
		f(3, 5000, 20, 3*(5000-20))
		f(4, 20, 20, 3*(5000-20))
		f(5, 21, 20, 0)
		f(6, 1, 1, 3)
		if b.counts[ruleBody] != 3*(1+5000+5000+20+21+1) {
			t.Errorf("counted %v", b.counts)
		}
	})
}

// The same subject has its line in each minute.
func TestBadRequestsLogAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		var b badRequests
		for range 180 {
			b.note(slog.New(slog.NewTextHandler(&out, nil)), "handler", "pw.hub.get", errors.New("bad"))
			time.Sleep(time.Second)
		}
		if n := strings.Count(out.String(), "\n"); n != 3 {
			t.Errorf("%d lines in three minutes", n)
		}
	})
}
