package embedded

import (
	"crypto/subtle"

	"github.com/nats-io/nats-server/v2/server"
)

// oneUser admits a single name and password with all rights. Users of their own
// for plugins, each with the permissions of its role, take its place here: Check
// looks the name up and registers a User with Permissions.
type oneUser struct{ name, password string }

var _ server.Authentication = oneUser{}

// Check is called by the server for each connection.
func (u oneUser) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	name := subtle.ConstantTimeCompare([]byte(o.Username), []byte(u.name))
	password := subtle.ConstantTimeCompare([]byte(o.Password), []byte(u.password))
	if name&password != 1 {
		return false
	}
	c.RegisterUser(&server.User{Username: u.name})
	return true
}
