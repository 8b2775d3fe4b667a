package embedded

import (
	"crypto/subtle"
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

// Authenticate decides on each new connection: false refuses it, nil rights are
// all rights.
type Authenticate func(user, password string) (*Rights, bool)

// oneUser admits a single name and password.
func oneUser(name, password string) Authenticate {
	return func(user, given string) (*Rights, bool) {
		same := subtle.ConstantTimeCompare([]byte(user), []byte(name))
		same &= subtle.ConstantTimeCompare([]byte(given), []byte(password))
		return nil, same == 1
	}
}

// doorman gives the server's question to an Authenticate.
type doorman struct{ ask Authenticate }

var _ server.Authentication = doorman{}

// Check is called by the server for each connection.
func (d doorman) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	rights, ok := d.ask(o.Username, o.Password)
	if !ok {
		return false
	}
	c.RegisterUser(&server.User{Username: o.Username, Permissions: rights.permissions()})
	return true
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
