package listen

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pacewire/pacewire/plugin"
)

// Access is the settings of a listener that say what requests over HTTP have to bring. With a token and a password either will do.
type Access struct {
	BearerToken plugin.Secret `json:"bearer_token" jsonschema:"HTTP: requests have to bring this token"`
	Username    string        `json:"username" jsonschema:"HTTP: requests have to bring this name, with the password, as basic authentication"`
	Password    plugin.Secret `json:"password" jsonschema:"HTTP: the password of username"`
}

// Check reports what is wrong with a, for a listener at those addresses.
func (a Access) Check(entries []string) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if (a.Username == "") != (a.Password == "") {
		fault("username %q and password: give both or none", a.Username)
	}
	if strings.Contains(a.Username, ":") {
		fault("username %q: no client can send a name with a colon", a.Username)
	}
	if strings.ContainsFunc(a.BearerToken.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		fault("bearer_token: has a blank, or a letter beyond ASCII, which no client can send: make another one")
	}
	if a.isSet() && !anyEntry(entries, overHTTP) {
		fault("%s: listen has no address of HTTP, and nobody would be asked for it: add one, or remove it", a.what())
	}
	return faults
}

// isSet reports whether anything is asked for.
func (a Access) isSet() bool { return a.BearerToken != "" || a.Username != "" || a.Password != "" }

// what names the settings that are set.
func (a Access) what() string {
	var names []string
	if a.BearerToken != "" {
		names = append(names, "bearer_token")
	}
	if a.Username != "" || a.Password != "" {
		names = append(names, "username")
	}
	return strings.Join(names, " and ")
}

var errNoAccess = errors.New("no or a wrong token or password")

// Guard returns h for those requests alone that bring what a asks for. The others are told what is wanted by headers, and answered by
// refuse; their connection ends then.
func (a Access) Guard(h http.Handler, log *slog.Logger, refuse http.HandlerFunc) http.Handler {
	if !a.isSet() {
		return h
	}
	var refused Throttle
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.admits(r) {
			h.ServeHTTP(w, r)
			return
		}
		if more, ok := refused.Pass(); ok {
			log.Warn("request refused", "from", r.RemoteAddr, "error", errNoAccess, "unreported", more)
		}
		a.challenge(w.Header())
		w.Header().Set("Connection", "close") // it would keep others out
		refuse(w, r)
	})
}

// challenge says what is wanted.
func (a Access) challenge(header http.Header) {
	if a.BearerToken != "" {
		header.Add("WWW-Authenticate", `Bearer realm="pacewire"`)
	}
	if a.Username != "" {
		header.Add("WWW-Authenticate", `Basic realm="pacewire", charset="UTF-8"`)
	}
}

// admits reports whether r brings what is asked for. How long that takes does not tell how much of it is right.
func (a Access) admits(r *http.Request) bool {
	if name, password, ok := r.BasicAuth(); ok {
		right := equal(name, a.Username) & equal(password, a.Password.Reveal())
		return right == 1 && a.Username != ""
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	known := strings.EqualFold(kind, "Bearer") || strings.EqualFold(kind, "Token") // as clients of InfluxDB say
	return known && a.BearerToken != "" && equal(strings.TrimLeft(token, " "), a.BearerToken.Reveal()) == 1
}

// equal returns 1 if two texts are equal, else 0, in a time that does not depend on either.
func equal(given, wanted string) int {
	g, w := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(wanted))
	return subtle.ConstantTimeCompare(g[:], w[:])
}
