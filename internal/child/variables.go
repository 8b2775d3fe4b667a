package child

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// EnvironOf returns the environment of a program whose operator has named its user, by name or id, "" for our own, and variables:
// Environ with the home and the names of that user, and with these.
func EnvironOf(own []string, name string, variables map[string]string) ([]string, error) {
	u, err := lookUp(cmp.Or(name, strconv.Itoa(os.Geteuid())))
	if err != nil && name != "" {
		return nil, fmt.Errorf("user %s: this machine has no such user: name one that it has, or remove user", name)
	}
	var more []string
	if err == nil { // a container may not know the user it has
		more = append(more, "HOME="+u.HomeDir, "USER="+u.Username, "LOGNAME="+u.Username)
	}
	for _, key := range slices.Sorted(maps.Keys(variables)) {
		more = append(more, key+"="+variables[key])
	}
	return Environ(own, more...), nil
}

// lookUp finds a user by name or id.
func lookUp(name string) (*user.User, error) {
	if u, err := user.Lookup(name); err == nil {
		return u, nil
	}
	return user.LookupId(name)
}

// CheckVariables reports what is wrong with the variables that an operator has named, in the setting environment.
func CheckVariables(variables map[string]string) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "PACEWIRE_"):
			faults = append(faults, fmt.Errorf("environment %q: want the name of a variable, which does not begin with PACEWIRE_", name))
		case strings.Contains(variables[name], "\x00"):
			faults = append(faults, fmt.Errorf("environment %s: has a NUL in it, which no environment can hold", name))
		}
	}
	return errors.Join(faults...)
}
