package publisher

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/plugin"
)

// Verdict says what the answer of an HTTP sink means for a batch: nil for 2xx; try again for 429, 503 (with the server's
// Retry-After) and other 5xx; plugin.ErrTooLarge for 413; plugin.Denied for 401 and 403; plugin.Permanent for what the sink
// will never take, with the start of its answer. It reads the body and leaves closing it to the caller.
func Verdict(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	err := fmt.Errorf("sink answered %s%s", resp.Status, start(resp.Body))
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		if d := retryAfter(resp.Header.Get("Retry-After"), time.Now()); d > 0 {
			return plugin.After(err, d)
		}
		return err
	case code == http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %w", plugin.ErrTooLarge, err)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return plugin.Denied(err)
	case code == http.StatusRequestTimeout || code >= 500:
		return err
	}
	return plugin.Permanent(err)
}

// told is how much of a sink's answer an error carries.
const told = 512

func start(body io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(body, told))
	if s := strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD")); s != "" {
		return ": " + s
	}
	return ""
}

// retryAfter reads a Retry-After header, seconds or a date. It never waits more than an hour.
func retryAfter(text string, now time.Time) time.Duration {
	d := time.Duration(0)
	if s, err := strconv.Atoi(text); err == nil {
		d = time.Duration(min(s, 3600)) * time.Second
	} else if t, err := http.ParseTime(text); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), time.Hour)
}
