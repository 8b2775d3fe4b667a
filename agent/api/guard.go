package api

import (
	"crypto/rand"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/config"
)

// A route is one thing that can be asked.
type route struct {
	method string
	path   string
	do     func(*call) error
	query  []string // parameters that it takes
	body   []string // types of the body that it takes; none: it takes no body
	stream bool     // it goes on for as long as somebody listens, and has slots of its own
	vital  bool     // it is answered however busy the server is, and whoever asks
	heavy  bool     // it takes much work, so few are answered at a time
}

func (r *route) pattern() string { return r.method + " " + r.path }

// changes reports whether the route changes something.
func (r *route) changes() bool { return r.method != http.MethodGet }

// ServeHTTP answers a request, and sees to what all have in common.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	rec := &recorder{ResponseWriter: w, id: newID()}
	h.Set("X-Request-Id", rec.id)
	if fromReserve(r.Context()) {
		h.Set("Connection", "close")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) // fails only where there is no connection
	defer s.finish(rec, r)
	if p := s.admit(r); p != nil {
		rec.fail(p)
		return
	}
	if p := s.find(r); p != nil {
		rec.fail(p)
		return
	}
	s.mux.ServeHTTP(rec, r)
}

func tooMany(format string, args ...any) *Problem {
	p := problem(http.StatusTooManyRequests, "too_many", format, args...).hint("try again in a second")
	p.after = 1
	return p
}

// admit refuses what is no request for this server.
func (s *Server) admit(r *http.Request) *Problem {
	size := len(r.RequestURI)
	for key, values := range r.Header {
		for _, v := range values {
			size += len(key) + len(v) + 4
		}
	}
	if size > mostHeader {
		return problem(http.StatusRequestHeaderFieldsTooLarge, "header_too_large", "address and header have %d bytes, at most %d are taken", size, mostHeader)
	}
	if !s.known(r.Host) {
		return problem(http.StatusMisdirectedRequest, "wrong_host", "this server is not %.200q", r.Host).
			hint("name it localhost, 127.0.0.1, [::1] or as web.listen does")
	}
	return nil
}

// find refuses a path, or a method, that no route has.
func (s *Server) find(r *http.Request) *Problem {
	escaped := r.URL.EscapedPath()
	if path.Clean(escaped) != escaped {
		return s.noRoute(path.Clean("/" + escaped))
	}
	if _, pattern := s.mux.Handler(r); pattern != "" {
		return nil
	}
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := s.mux.Handler(&other); pattern != "" {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		return s.noRoute(escaped)
	}
	p := problem(http.StatusMethodNotAllowed, "method", "%.20q is not for this address", r.Method).hint("use %s", strings.Join(allow, " or "))
	p.allow = strings.Join(allow, ", ")
	return p
}

// noRoute names the nearest route.
func (s *Server) noRoute(asked string) *Problem {
	p := problem(http.StatusNotFound, "no_route", "there is no %.200q", asked).hint("GET /openapi.json lists all addresses")
	words := strings.Split(asked, "/")
	var near []string
	for i := range s.routes {
		if like := s.routes[i].like(words); like != "" && !slices.Contains(near, like) {
			near = append(near, like)
		}
	}
	if slices.Contains(near, asked) { // only a slash at its end, or two in a row, was wrong
		return p.hint("did you mean %s?", asked)
	}
	if name := config.Suggest(asked, near); name != "" {
		return p.hint("did you mean %s?", name)
	}
	return p
}

// like returns the path of the route with the words asked for in the places of its names; "" if it has another number of words.
func (r *route) like(words []string) string {
	mine := strings.Split(r.path, "/")
	if len(mine) != len(words) {
		return ""
	}
	for i, word := range mine {
		if strings.HasPrefix(word, "{") {
			mine[i] = words[i]
		}
	}
	return strings.Join(mine, "/")
}

// routed runs a route behind the rest of the guard.
type routed struct {
	s *Server
	*route
}

// ServeHTTP answers a request for the route.
func (h routed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := w.(*recorder)
	rec.route = h.route
	c := &call{s: h.s, w: rec, r: r, route: h.route}
	leave, err := c.enter()
	if err != nil {
		rec.fail(problemOf(err))
		return
	}
	defer leave()
	if err = c.guarded(); err == nil {
		err = h.do(c)
	}
	if err != nil {
		rec.fail(h.s.told(err, "request", rec.id))
	}
}

// Slots of requests that take much work: above, they wait for a while.
const (
	mostHeavy = 4
	heavyWait = 5 * time.Second
)

// enter takes a slot of those that the route needs. Streams take theirs when they begin.
func (c *call) enter() (leave func(), err error) {
	s := c.s
	switch {
	case c.route.vital:
		return func() {}, nil
	case fromReserve(c.r.Context()):
		return nil, tooMany("%d connections are open, and the rest is kept for /-/healthy and /-/ready", mostConns-reserveConns)
	case c.route.stream:
		return func() {}, nil
	}
	select {
	case s.busy <- struct{}{}:
	default:
		return nil, tooMany("%d requests are under way", mostRequests)
	}
	if !c.route.heavy {
		return func() { <-s.busy }, nil
	}
	t := time.NewTimer(heavyWait)
	defer t.Stop()
	select {
	case s.heavy <- struct{}{}:
		return func() { <-s.heavy; <-s.busy }, nil
	case <-t.C:
		err = tooMany("%d requests that take as much work are under way", mostHeavy)
	case <-c.r.Context().Done():
		err = c.r.Context().Err()
	}
	<-s.busy
	return nil, err
}

// guarded refuses what the route does not take.
func (c *call) guarded() error {
	if !c.route.vital {
		if err := c.s.ownSite(c.r); err != nil {
			return err
		}
	}
	if c.route.changes() {
		if p := c.s.authorise(c.r); p != nil {
			return p
		}
	}
	if p := c.parameters(); p != nil {
		return p
	}
	if p := c.bodyFits(); p != nil {
		return p
	}
	return nil
}

// ownSite refuses what a page of another site asks, reading too: a browser on this machine reaches loopback for every page that it
// shows. Scripts tell no site, and pass.
func (s *Server) ownSite(r *http.Request) error {
	strict := *r
	strict.Method = http.MethodPost // of others the check lets everything through that only reads
	if err := s.cross.Check(&strict); err != nil {
		return problem(http.StatusForbidden, "cross_site", "a page of another site has made this request: %v", err).
			hint("ask from a script, or from a page of this server")
	}
	return nil
}

// bodyFits refuses a body of the wrong type or size before anything of it is read.
func (c *call) bodyFits() *Problem {
	r := c.r
	if r.ContentLength > mostBody {
		return tooLarge(mostBody)
	}
	r.Body = http.MaxBytesReader(c.w, r.Body, mostBody)
	switch {
	case len(c.route.body) == 0 && r.ContentLength != 0:
		return c.noBody()
	case len(c.route.body) == 0:
		return nil
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return problem(http.StatusUnsupportedMediaType, "encoding", "Content-Encoding %.50q is not taken", encoding).hint("send it without")
	}
	header := r.Header.Get("Content-Type")
	name, _, err := mime.ParseMediaType(header)
	if header == "" && slices.Contains(c.route.body, "") || err == nil && slices.Contains(c.route.body, name) || r.ContentLength == 0 {
		return nil
	}
	want := slices.DeleteFunc(slices.Clone(c.route.body), func(name string) bool { return name == "" })
	return problem(http.StatusUnsupportedMediaType, "content_type", "Content-Type %.100q is not taken here", header).
		hint("-H 'Content-Type: %s'", strings.Join(want, "' or '"))
}

// noBody refuses a body where none belongs. One whose length is not told may be empty.
func (c *call) noBody() *Problem {
	if c.r.ContentLength < 0 {
		if n, _ := c.r.Body.Read(make([]byte, 1)); n == 0 {
			return nil
		}
	}
	return invalid("", "%s takes no body", c.route.pattern()).hint("GET /openapi.json tells what it takes")
}

func tooLarge(most int) *Problem {
	return problem(http.StatusRequestEntityTooLarge, "too_large", "the body has more than %d bytes", most).hint("send it in smaller pieces")
}

// recorder notes what becomes of a request.
type recorder struct {
	http.ResponseWriter
	id      string // of the request
	route   *route
	status  int
	problem *Problem
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write is WriteHeader(200) too, unless that was called.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// fail answers with a problem, unless an answer has begun.
func (r *recorder) fail(p *Problem) {
	p = r.note(p)
	if r.status == 0 {
		p.write(r)
	}
}

// note returns p as the problem of this request.
func (r *recorder) note(p *Problem) *Problem {
	mine := *p // it may be that of a job, which others ask for too
	mine.Instance = "urn:pacewire:request:" + r.id
	r.problem = &mine
	return &mine
}

// newID returns a random id.
func newID() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}
