package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A socket speaks the protocol of NATS.
type socket struct {
	conn     net.Conn
	in       *bufio.Reader
	messages []message
}

// A message is one that was received.
type message struct{ subject, header, body string }

const patience = 5 * time.Second

// dial connects as a user. A refusal is an error.
func dial(url, user, password string) (*socket, error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "nats://"), patience)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, in: bufio.NewReader(conn)}
	options, err := json.Marshal(map[string]any{
		"user": user, "pass": password, "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "lang": "socket", "version": "0", "protocol": 1,
	})
	if err != nil {
		return nil, err
	}
	said, err := s.round("CONNECT " + string(options) + "\r\n")
	if said != "" {
		err = errors.New(said)
	}
	return s, err
}

func pub(subject, reply, body string) string {
	return fmt.Sprintf("PUB %s %s %d\r\n%s\r\n", subject, reply, len(body), body)
}

func hpub(subject, header, body string) string {
	header = "NATS/1.0\r\n" + header + "\r\n\r\n"
	return fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", subject, len(header), len(header)+len(body), header, body)
}

// round sends a command, and returns what the bus has to say against it, "" for nothing. Messages that come are kept.
func (s *socket) round(command string) (said string, err error) {
	if _, err := io.WriteString(s.conn, command+"PING\r\n"); err != nil {
		return "", err
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return said, err
		}
		line = strings.TrimRight(line, "\r\n")
		words := strings.Fields(line)
		switch {
		case line == "PONG":
			return said, nil
		case line == "PING":
			_, err = io.WriteString(s.conn, "PONG\r\n")
		case strings.HasPrefix(line, "-ERR"):
			if said = line; strings.Contains(line, "Authorization Violation") {
				return said, nil // the bus hangs up
			}
		case words[0] == "MSG" || words[0] == "HMSG":
			err = s.take(words)
		}
		if err != nil {
			return said, err
		}
	}
}

// take reads the message that words announce.
func (s *socket) take(words []string) error {
	size, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return err
	}
	body := make([]byte, size+2) // with its end of line
	if _, err := io.ReadFull(s.in, body); err != nil {
		return err
	}
	m := message{subject: words[1], body: string(body[:size])}
	if words[0] == "HMSG" {
		n, err := strconv.Atoi(words[len(words)-2])
		if err != nil {
			return err
		}
		m.header, m.body = m.body[:n], m.body[n:]
	}
	s.messages = append(s.messages, m)
	return nil
}

// message waits for one.
func (s *socket) message() (m message, err error) {
	for end := time.Now().Add(patience); len(s.messages) == 0 && err == nil; {
		if time.Now().After(end) {
			return m, errors.New("no answer")
		}
		time.Sleep(10 * time.Millisecond)
		_, err = s.round("")
	}
	if err != nil {
		return m, err
	}
	m, s.messages = s.messages[0], s.messages[1:]
	return m, nil
}
