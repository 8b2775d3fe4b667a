package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An Address is where to listen.
type Address struct {
	Scheme string // udp, tcp or unix, or what is spoken over TCP; unixgram for datagrams of a Unix socket, and unix... for other streams of one
	At     string // host:port or a path
}

const maxUnixPath = 107 // of what the kernel takes, without the zero at the end

// Parse reads an entry of the setting listen, whose scheme is to be one of those.
func Parse(entry string, schemes ...string) (Address, error) {
	u, err := url.Parse(entry)
	if err == nil {
		if plain := unsealed[u.Scheme]; slices.Contains(schemes, plain) {
			return Address{}, fmt.Errorf("want %s://%s: it is TLS when cert_file and key_file are set", plain, u.Host)
		}
	}
	if err != nil || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !slices.Contains(schemes, u.Scheme) {
		return Address{}, errors.New(want(schemes))
	}
	if local(u.Scheme) {
		switch {
		case u.Host != "" || len(u.Path) < 2:
			return Address{}, fmt.Errorf("want an absolute path, such as %s:///run/name.sock", u.Scheme)
		case len(u.Path) > maxUnixPath:
			return Address{}, fmt.Errorf("the path has %d bytes, a Unix socket takes %d: choose a shorter one", len(u.Path), maxUnixPath)
		}
		return Address{u.Scheme, u.Path}, nil
	}
	_, port, err := net.SplitHostPort(u.Host)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 && port != "0" {
		return Address{}, fmt.Errorf("want a host and a port, such as %s://127.0.0.1:8094", u.Scheme)
	}
	if u.Path != "" && u.Path != "/" {
		return Address{}, fmt.Errorf("has a path: want %s://%s", u.Scheme, u.Host)
	}
	return Address{u.Scheme, u.Host}, nil
}

// Check reports what is wrong with the entries of the setting listen, whose schemes are to be among those.
func Check(entries []string, schemes ...string) (faults []error) {
	if len(entries) == 0 {
		faults = append(faults, fmt.Errorf("listen is empty: name an address, such as %s://127.0.0.1:8094", schemes[0]))
	}
	for i, entry := range entries {
		if a, err := Parse(entry, schemes...); err != nil {
			faults = append(faults, fmt.Errorf("listen %q: %w", entry, err))
		} else if slices.Contains(entries[:i], entry) && !a.AnyPort() {
			faults = append(faults, fmt.Errorf("listen %q: is there twice: remove one", entry))
		}
	}
	return faults
}

// AnyPort reports whether a asks for a free port.
func (a Address) AnyPort() bool {
	_, port, err := net.SplitHostPort(a.At)
	return err == nil && port == "0" && !local(a.Scheme)
}

// unsealed are the schemes of what others call by another name when it is encrypted.
var unsealed = map[string]string{"https": "http", "grpcs": "grpc", "tls": "tcp", "tcps": "tcp", "ssl": "tcp"}

// overHTTP reports whether what comes to addresses of a scheme are requests of HTTP.
func overHTTP(scheme string) bool { return scheme == "http" || scheme == "grpc" }

// overTCP reports whether connections to addresses of a scheme are of TCP.
func overTCP(scheme string) bool { return scheme != "udp" && !local(scheme) }

// anyEntry reports whether f holds for the scheme of any address.
func anyEntry(entries []string, f func(scheme string) bool) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		scheme, _, _ := strings.Cut(entry, ":")
		return f(scheme)
	})
}

// local reports whether addresses of a scheme are paths.
func local(scheme string) bool { return strings.HasPrefix(scheme, "unix") }

// want says what an address looks like.
func want(schemes []string) string {
	var forms []string
	for _, s := range schemes {
		if local(s) {
			forms = append(forms, s+":///path")
		} else {
			forms = append(forms, s+"://host:port")
		}
	}
	last := len(forms) - 1
	if last == 0 {
		return "want " + forms[0]
	}
	return "want " + strings.Join(forms[:last], ", ") + " or " + forms[last]
}

// Mode reads the permissions of the file of a Unix socket, in octal.
func Mode(text string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(text, 8, 9)
	if err != nil {
		return 0, fmt.Errorf("%q: want permissions in octal, such as 0660", text)
	}
	return fs.FileMode(mode), nil
}
