package bus

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// TLS names the PEM files of an encrypted bus. They are read again at each connect. With any of them set the connection is
// encrypted, whatever the URL says.
type TLS struct {
	CAFile   string `json:"ca_file,omitzero"`   // whom to trust instead of the machine's certificates
	CertFile string `json:"cert_file,omitzero"` // who this client is
	KeyFile  string `json:"key_file,omitzero"`  // of CertFile
}

// The environment by which an agent tells its plugins of the files.
const (
	envCA   = "PACEWIRE_BUS_CA"
	envCert = "PACEWIRE_BUS_CERT"
	envKey  = "PACEWIRE_BUS_KEY"
)

// TLSFrom returns what the environment says.
func TLSFrom(getenv func(name string) string) TLS {
	return TLS{getenv(envCA), getenv(envCert), getenv(envKey)}
}

// Environ returns t as an environment, one string for each file.
func (t TLS) Environ() []string {
	env := []string{envCA + "=" + t.CAFile, envCert + "=" + t.CertFile, envKey + "=" + t.KeyFile}
	return slices.DeleteFunc(env, func(s string) bool { return strings.HasSuffix(s, "=") })
}

// options returns what the connection needs; a file that cannot be read is an error of it.
func (t TLS) options() []nats.Option {
	var opts []nats.Option
	if t.CAFile != "" {
		opts = append(opts, nats.RootCAs(t.CAFile))
	}
	if t.CertFile != "" || t.KeyFile != "" {
		opts = append(opts, nats.ClientCert(t.CertFile, t.KeyFile))
	}
	return opts
}
