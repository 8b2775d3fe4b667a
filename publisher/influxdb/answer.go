package influxdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
)

// errNoDatabase says that the database or bucket does not exist.
var errNoDatabase = errors.New("it does not exist")

// A refusal is the answer that the server will never take some points, or all. The others it may have stored.
type refusal struct {
	reason  string
	dropped int  // how many at least
	all     bool // none was taken
}

func (r *refusal) Error() string { return r.reason }

// ofAll reports whether each of n points was refused.
func (r *refusal) ofAll(n int) bool { return r.all || r.dropped >= n }

const (
	readMost = 64 << 10 // bytes of an answer that are read
	tellMost = 512      // bytes of it that are told
)

// judge returns what the answer to a write says: nil, a refusal, or an error of package plugin.
func (e endpoint) judge(resp *http.Response) error {
	code := resp.StatusCode
	if code/100 == 2 && resp.ContentLength == 0 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, readMost))
	if err != nil && code/100 == 2 {
		return fmt.Errorf("read the answer of %s: %w", e.where, err)
	}
	said := saidIn(text)
	switch {
	case code/100 == 2:
		return e.judgeSuccess(resp, said)
	case said != "" && (code == http.StatusBadRequest || code == http.StatusUnprocessableEntity):
		return e.judgeRefusal(said)
	case code == http.StatusInternalServerError && strings.HasPrefix(said, "retention policy not found"):
		return e.denied("%s: make it, or change retention", told(said))
	case code == http.StatusNotFound:
		return e.missing(said)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return e.denied("answered %s%s: check %s", resp.Status, and(told(said)), e.credentials())
	case code/100 == 3:
		return e.denied("answered %s, which is not followed: set url to where the server is", resp.Status)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	err = publisher.Verdict(resp)
	if plugin.IsPermanent(err) { // of this request and all others: the points are not to blame
		err = plugin.Denied(fmt.Errorf("%w: is this InfluxDB %d?", err, e.version))
	}
	return fmt.Errorf("write to %s: %w", e.where, err)
}

// judgeSuccess looks at an answer that should have been empty: a login page is an answer too.
func (e endpoint) judgeSuccess(resp *http.Response, said string) error {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return e.denied("answered %s with a page: is this InfluxDB %d?", resp.Status, e.version)
	}
	if said != "" {
		return e.denied("answered %s but said: %s", resp.Status, told(said))
	}
	return nil
}

// judgeRefusal reads the answer to a write that the server would not take as a whole.
func (e endpoint) judgeRefusal(said string) error {
	if strings.Contains(said, "database is required") {
		return e.denied("%s: set database", told(said))
	}
	r := &refusal{reason: told(said)}
	// Version 1 stores the lines that it can read, and says "partial write" if there are any. Other versions store none.
	r.all = e.version == 1 && strings.HasPrefix(said, "unable to parse")
	// Versions 1 and 2 say at the end how many points they did not store.
	if count, ok := strings.CutPrefix(said[strings.LastIndexByte(said, ' ')+1:], "dropped="); ok {
		n, _ := strconv.ParseUint(count, 10, 31)
		r.dropped = int(n)
	}
	return r
}

// missing tells what the server has not.
func (e endpoint) missing(said string) error {
	if said == "" { // not an answer of the handler for writes
		return e.denied("answered 404: this is not the path of InfluxDB %d: check url and version", e.version)
	}
	thing, way := fmt.Sprintf("database %q", e.database), "make it or change database"
	switch e.version {
	case 1:
		way = fmt.Sprintf("set create_database: true, or run: influx -execute 'CREATE DATABASE %s'", quote(e.database))
	case 2:
		thing, way = fmt.Sprintf("bucket %q", e.bucket), "make it or change org and bucket"
	}
	return plugin.Denied(fmt.Errorf("%s at %s: %w (%s): %s", thing, e.where, errNoDatabase, told(said), way))
}

func (e endpoint) credentials() string {
	if e.version == 1 {
		return "username and password"
	}
	return "token and what it may write"
}

// denied returns the error that somebody has to act, with what and where.
func (e endpoint) denied(format string, args ...any) error {
	return plugin.Denied(fmt.Errorf("%s: %w", e.where, fmt.Errorf(format, args...)))
}

// saidIn returns the text in an answer of any version, "" when it is none of theirs.
func saidIn(text []byte) string {
	var answer struct {
		Error   string          `json:"error"`   // versions 1 and 3
		Message string          `json:"message"` // version 2
		Data    json.RawMessage `json:"data"`    // version 3: the lines
		Results []struct {      // of a statement
			Error string `json:"error"`
		} `json:"results"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return ""
	}
	said := answer.Message
	if said == "" {
		said = answer.Error
	}
	for _, r := range answer.Results {
		said += r.Error
	}
	if len(answer.Data) > 0 {
		said += " " + string(answer.Data)
	}
	return strings.TrimSpace(said)
}

// and puts a text behind another, if there is one.
func and(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// told returns as much of what a server said as an error is to carry.
func told(said string) string {
	said = strings.ToValidUTF8(said, "\uFFFD")
	if len(said) <= tellMost {
		return said
	}
	return strings.ToValidUTF8(said[:tellMost], "") + " ..."
}
