package scaffold

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	fitting    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`) // as the config has it
	notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)
)

// CheckName complains about what a plugin of a language cannot be called, or should not: names that the config has for
// something else, and the programs that are built in.
func CheckName(name string, language *Language, builtIn []string) error {
	other := func(why string) error {
		better := "my-" + name
		if len(better) > 63 {
			better = "another one"
		}
		return fmt.Errorf("name %s: %s: choose another one, such as %s", name, why, better)
	}
	switch {
	case name == "":
		return errors.New("name: it is empty")
	case !fitting.MatchString(name):
		hint := ""
		if better := fold(name); fitting.MatchString(better) {
			hint = ": did you mean " + better + "?"
		}
		return fmt.Errorf("name %q: it has a-z, 0-9, _ and -, begins with a letter or digit, and is at most 63 long%s", name, hint)
	case slices.Contains(reserved(), name):
		return other("it is reserved")
	case slices.Contains(builtIn, name):
		return other("a program of pacewire is called so")
	case slices.Contains(language.taken(), stem(name)):
		return other("the file " + stem(name) + ".py would stand before the module " + stem(name) + " of Python")
	}
	return nil
}

// reserved are words of the config, and the name under which pacewire send sends.
func reserved() []string { return []string{"agent", "all", "send"} }

// fold makes a name of what somebody wrote for one.
func fold(name string) string {
	return strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// stem is the name as languages have it that know no hyphens.
func stem(name string) string { return strings.ReplaceAll(name, "-", "_") }

// pythonModules are those of the standard library from 3.9 on, and two that the library looks for.
const pythonModules = `
abc aifc antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii binhex bisect builtins
bz2 calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys compileall compression concurrent configparser
contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email
encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter fractions ftplib functools gc genericpath
getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io
ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder
msilib msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev parser
pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd py_compile
pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter runpy sched secrets select selectors
shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat
statistics string stringprep struct subprocess sunau symbol symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile
termios test textwrap this threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo
types typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc
zipapp zipfile zipimport zlib zoneinfo msgpack nats`
