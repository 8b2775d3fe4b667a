package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// credentialOf is what a process of the user has, by name or id; nil for our own user.
func credentialOf(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("run_as %s: this machine has no such user: name one that it has, or remove run_as", name)
		}
	}
	c, err := credential(u)
	if err != nil {
		return nil, fmt.Errorf("run_as %s: %w", name, err)
	}
	return change(name, c, os.Geteuid())
}

// change decides whether we, with the user id own, may become c.
func change(name string, c *syscall.Credential, own int) (*syscall.Credential, error) {
	switch own {
	case int(c.Uid):
		return nil, nil
	case 0:
		return c, nil
	}
	return nil, fmt.Errorf("run_as %s: the agent runs as uid %d and may not change the user: run it as root, or remove run_as", name, own)
}

func credential(u *user.User) (*syscall.Credential, error) {
	names, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of the user: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	errs := []error{err1, err2}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, name := range names {
		id, err := strconv.ParseUint(name, 10, 32)
		errs = append(errs, err)
		c.Groups = append(c.Groups, uint32(id))
	}
	return c, errors.Join(errs...)
}

// inGroups returns c with other groups than its user's. c is nil for our own user, and stays so where those groups are ours.
func inGroups(c *syscall.Credential, names []string) (*syscall.Credential, error) {
	var ids []uint32
	for _, name := range names {
		g, err := user.LookupGroup(name)
		if err != nil {
			if g, err = user.LookupGroupId(name); err != nil {
				return nil, fmt.Errorf("group %s: this machine has no such group: name one that it has, or none", name)
			}
		}
		id, err := strconv.ParseUint(g.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", name, err)
		}
		ids = append(ids, uint32(id))
	}
	if os.Geteuid() != 0 {
		return c, haveGroups(ids, names)
	}
	if c == nil {
		c = &syscall.Credential{}
	}
	c.Gid, c.Groups = ids[0], ids
	return c, nil
}

// haveGroups returns an error for the first group that we are not in.
func haveGroups(ids []uint32, names []string) error {
	own, err := os.Getgroups()
	if err != nil {
		return fmt.Errorf("groups of our own: %w", err)
	}
	own = append(own, os.Getegid())
	for i, id := range ids {
		if !slices.Contains(own, int(id)) {
			return fmt.Errorf("group %s: the agent runs as uid %d, which is not in it, and may not join it: run it as root, or add its user to the group", names[i], os.Geteuid())
		}
	}
	return nil
}

// GiveTo makes a file or folder that of a user, by name or id; "" is our own user, and changes nothing.
func GiveTo(path, name string) error {
	c, err := credentialOf(name)
	if err != nil || c == nil {
		return err
	}
	if err := os.Chown(path, int(c.Uid), int(c.Gid)); err != nil {
		return fmt.Errorf("run_as %s: %w", name, err)
	}
	return nil
}
