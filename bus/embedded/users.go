package embedded

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
)

// Users are who may use a server: each with the passwords it was granted, and
// with the rights of the one it came with. The zero value admits nobody. Grants
// come and go while servers run, and outlive their restarts.
type Users struct {
	mu      sync.Mutex
	grants  map[string][]*entry // by user
	refused atomic.Uint64
}

// Grant is one password of a user. A user may have several at a time, such as
// two processes of one plugin while one takes over from the other. As JSON it is
// a credentials file; logged it is only the user.
type Grant struct {
	User     string `json:"user"`
	Password string `json:"password"`

	users *Users
	entry *entry
}

// entry is what a server has to know of a grant.
type entry struct {
	user        string
	hash        [sha256.Size]byte // of the password, which is random: no salt is needed
	permissions *server.Permissions
	links       []link // made with it; some may be closed
}

// link is a connection: a restarted server counts from 1 again.
type link struct {
	server *server.Server
	id     uint64
}

const passwordBytes = 32

// Grant gives user another password, made of 256 random bits, and with it these
// rights; nil rights are all.
func (u *Users) Grant(user string, rights *Rights) Grant {
	var secret [passwordBytes]byte
	_, _ = rand.Read(secret[:]) // never fails
	return u.Restore(user, base64.RawURLEncoding.EncodeToString(secret[:]), rights)
}

// Restore is Grant with a password of before: that of a process which went on
// while its agent was away. An empty one admits nobody.
func (u *Users) Restore(user, password string, rights *Rights) Grant {
	e := &entry{user: user, hash: sha256.Sum256([]byte(password)), permissions: rights.permissions()}
	if password != "" {
		u.add(e)
	}
	return Grant{User: user, Password: password, users: u, entry: e}
}

// Refused is how many connections were refused so far.
func (u *Users) Refused() uint64 { return u.refused.Load() }

// Revoke ends the grant: no connection can be made with it any more, and those
// that were are closed at once. Other grants of the user stay. Revoke again does
// nothing.
func (g Grant) Revoke() {
	if g.users == nil {
		return
	}
	for _, l := range g.users.remove(g.entry) {
		_ = l.server.DisconnectClientByID(l.id) // fails when it is closed already
	}
}

// String is the user: a password is not to be printed by accident.
func (g Grant) String() string { return "grant of " + g.User }

// GoString is String.
func (g Grant) GoString() string { return g.String() }

// LogValue is String.
func (g Grant) LogValue() slog.Value { return slog.StringValue(g.String()) }

func (u *Users) add(e *entry) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.grants == nil {
		u.grants = make(map[string][]*entry)
	}
	u.grants[e.user] = append(u.grants[e.user], e)
}

func (u *Users) remove(e *entry) []link {
	u.mu.Lock()
	defer u.mu.Unlock()
	rest := slices.DeleteFunc(u.grants[e.user], func(other *entry) bool { return other == e })
	if u.grants[e.user] = rest; len(rest) == 0 {
		delete(u.grants, e.user)
	}
	links := e.links
	e.links = nil
	return links
}

// admit returns the grant of a password and notes that l was made with it: under
// one lock, so that Revoke finds each connection or refuses it.
func (u *Users) admit(user, password string, l link) *entry {
	given := sha256.Sum256([]byte(password))
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range u.grants[user] {
		if subtle.ConstantTimeCompare(e.hash[:], given[:]) == 1 {
			e.note(l)
			return e
		}
	}
	return nil
}

// of returns the user that a connection was made as.
func (u *Users) of(l link) (user string, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for user, entries := range u.grants {
		for _, e := range entries {
			if slices.Contains(e.links, l) {
				return user, true
			}
		}
	}
	return "", false
}

// note remembers a connection, and forgets the closed ones before it takes more
// memory: a plugin may come back very often.
func (e *entry) note(l link) {
	if len(e.links) == cap(e.links) {
		e.links = slices.DeleteFunc(e.links, func(l link) bool { return l.server.GetClient(l.id) == nil })
	}
	e.links = append(e.links, l)
}

// doorman stands at the door of one server.
type doorman struct {
	users  *Users
	server *server.Server
	log    *slog.Logger
	told   oncePerMinute
}

var _ server.Authentication = (*doorman)(nil)

// Check is called by the server for each connection.
func (d *doorman) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	e := d.users.admit(o.Username, o.Password, link{d.server, c.GetID()})
	if e == nil {
		d.refuse(o.Username, c)
		return false
	}
	c.RegisterUser(&server.User{Username: e.user, Permissions: e.permissions})
	return true
}

const shownUser = 128 // bytes of a name that anybody may send

func (d *doorman) refuse(user string, c server.ClientAuthentication) {
	n := d.users.refused.Add(1)
	user = user[:min(len(user), shownUser)]
	if d.told.first(user) {
		d.log.Warn("bus refused a connection: unknown user, wrong or revoked password", "user", user, "from", c.RemoteAddress(), "refused", n)
	}
}
