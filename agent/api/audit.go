package api

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// An auditor notes who has changed what, and what was refused.
type auditor struct {
	mu     sync.Mutex
	second int64
	lines  int
	kept   uint64 // lines that were not written
}

// mostLines is how many lines on refusals are written in a second: somebody who is refused again and again must not fill the disk.
const mostLines = 20

// may reports whether one more line may be written.
func (a *auditor) may(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Unix() != a.second {
		a.second, a.lines = now.Unix(), 0
	}
	if a.lines++; a.lines > mostLines {
		a.kept++
		return false
	}
	return true
}

func (a *auditor) suppressed() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept
}

// refusals are the statuses of requests that are turned away for what they are, whatever they ask for.
var refusals = map[int]bool{
	http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusRequestEntityTooLarge: true,
	http.StatusUnsupportedMediaType: true, http.StatusMisdirectedRequest: true, http.StatusTooManyRequests: true,
	http.StatusRequestHeaderFieldsTooLarge: true, http.StatusMethodNotAllowed: true,
}

// finish counts a request, and notes it where it changed something or was refused.
func (s *Server) finish(rec *recorder, r *http.Request) {
	s.counts.add(rec)
	code := "ok"
	if rec.problem != nil {
		code = rec.problem.Code
	}
	changed := rec.route != nil && rec.route.changes() && !refusals[rec.status]
	if changed || refusals[rec.status] && s.audit.may(time.Now()) {
		s.log.Info("api request", "who", r.RemoteAddr, "method", shown(r.Method), "path", shown(r.URL.EscapedPath()), "status", rec.status, "result", code,
			"request", rec.id)
	}
}

// shown returns a text of a request as a log may have it: in one line, and no longer than needed.
func shown(text string) string {
	const most = 200
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
