package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tokens judge who may change something.
type tokens struct {
	want [sha256.Size]byte // of the token

	mu    sync.Mutex
	wrong map[string]*tries // by address
}

// tries are what an address has tried in vain.
type tries struct {
	n     int
	begun time.Time
}

const (
	mostTries   = 10
	triesTime   = time.Minute
	mostTriers  = 1024 // addresses
	bearer      = "Bearer "
	tokenBytes  = 512 // more is no token
	noTokenText = "this server has no token, so it takes no changes"
)

func hashOf(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// authorise refuses a change that does not come with the token.
func (s *Server) authorise(r *http.Request) *Problem {
	who, _, _ := net.SplitHostPort(r.RemoteAddr) // on loopback everybody is one: the right token always passes
	text := r.Header.Get("Authorization")
	token, is := strings.CutPrefix(text, bearer)
	switch {
	case s.o.Token == "":
		return problem(http.StatusUnauthorized, "no_token", noTokenText).hint("pacewire up makes one")
	case text == "":
		return problem(http.StatusUnauthorized, "token_missing", "a change needs the token").hint("%s", s.tokenHint())
	case is && len(token) <= tokenBytes && s.tokens.right(token):
		return nil
	}
	if wait := s.tokens.refused(who, time.Now()); wait > 0 {
		p := problem(http.StatusTooManyRequests, "too_many_tokens", "more than %d wrong tokens within a minute from %s", mostTries, who).
			hint("%s", s.tokenHint())
		p.after = int(wait/time.Second) + 1
		return p
	}
	return problem(http.StatusUnauthorized, "token_wrong", "the token is not the one of this server").hint("%s", s.tokenHint())
}

func (s *Server) tokenHint() string {
	if s.o.TokenFile == "" {
		return "-H 'Authorization: Bearer TOKEN'"
	}
	return `-H "Authorization: Bearer $(cat ` + s.o.TokenFile + `)"`
}

// right compares in a time that tells nothing.
func (t *tokens) right(token string) bool {
	have := hashOf(token)
	return subtle.ConstantTimeCompare(have[:], t.want[:]) == 1
}

// refused counts a wrong token, and returns how long its address has to wait where it had too many of them.
func (t *tokens) refused(who string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, w := range t.wrong {
		if now.Sub(w.begun) >= triesTime {
			delete(t.wrong, name)
		}
	}
	w := t.wrong[who]
	if w == nil {
		if t.wrong == nil || len(t.wrong) >= mostTriers {
			t.wrong = map[string]*tries{}
		}
		w = &tries{begun: now}
		t.wrong[who] = w
	}
	if w.n++; w.n <= mostTries {
		return 0
	}
	return triesTime - now.Sub(w.begun)
}
