package embedded

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Rights are what one user may do: subjects, which may hold wildcards. Empty
// lists forbid everything.
type Rights struct {
	Publish, Subscribe []string

	// Responses are how often the user may answer on a reply subject, within
	// ResponseTime; 0 means that it may not.
	Responses    int
	ResponseTime time.Duration
}

func (r *Rights) permissions() *server.Permissions {
	if r == nil {
		return nil
	}
	p := &server.Permissions{Publish: only(r.Publish), Subscribe: only(r.Subscribe)}
	if r.Responses > 0 {
		p.Response = &server.ResponsePermission{MaxMsgs: r.Responses, Expires: r.ResponseTime}
	}
	return p
}

// only allows these subjects. The server takes an empty list for everything.
func only(subjects []string) *server.SubjectPermission {
	if len(subjects) == 0 {
		return &server.SubjectPermission{Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: subjects}
}
