// Command resolve asks for names as a Go program does that was built without the C library.
//
//	resolve NAME...                  print the addresses of each name, through the resolv.conf
//	resolve stream SERVER NAME RATE  ask a server RATE times a second until standard input ends,
//	                                 each time once and from a port of its own; print what came
//	resolve wait                     do nothing until SIGTERM
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A busy machine may stop everybody for seconds; what is lost does not come later either.
const patience = 20 * time.Second

// Each question has a port that nobody had for minutes: those below are not given out by the
// kernel. With random ones some would meet what the node's connection tracking still knows of the
// last question from there: it goes to the same pod, and is lost when that pod is gone and
// kube-proxy has not yet tidied up.
const (
	firstPort = 10_000
	ports     = 22_000
)

func main() {
	switch words := os.Args[1:]; {
	case len(words) == 1 && words[0] == "wait":
		wait()
	case len(words) == 4 && words[0] == "stream":
		stream(words[1], words[2], words[3])
	default:
		lookup(words)
	}
}

func wait() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
}

func lookup(names []string) {
	status := 0
	for _, name := range names {
		addresses, err := net.DefaultResolver.LookupHost(context.Background(), name)
		if err != nil {
			status = 1
			fmt.Printf("%s: %v\n", name, err)
			continue
		}
		slices.Sort(addresses)
		fmt.Printf("%s: %s\n", name, strings.Join(slices.Compact(addresses), " "))
	}
	os.Exit(status)
}

// tally counts what came of each question.
type tally struct {
	sync.Mutex
	Asked, Answered int
	Failed          map[string]int
	SlowestMs       int64
	FailedAfterMs   []int64
	LongestPauseMs  int64
}

func (t *tally) note(err error, begun, asked time.Time) {
	t.Lock()
	defer t.Unlock()
	t.Asked++
	t.SlowestMs = max(t.SlowestMs, time.Since(asked).Milliseconds())
	if err == nil {
		t.Answered++
		return
	}
	t.Failed[err.Error()]++
	t.FailedAfterMs = append(t.FailedAfterMs, asked.Sub(begun).Milliseconds())
}

// pause notes how long nothing was asked, for the machine was busy with others.
func (t *tally) pause(length time.Duration) {
	t.Lock()
	defer t.Unlock()
	t.LongestPauseMs = max(t.LongestPauseMs, length.Milliseconds())
}

func stream(server, name, rate string) {
	perSecond, err := strconv.Atoi(rate)
	if err != nil || perSecond < 1 {
		fmt.Fprintf(os.Stderr, "RATE is %q, expected a number of questions a second\n", rate)
		os.Exit(2)
	}
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(ended) }()
	result := tally{Failed: map[string]int{}}
	var asking sync.WaitGroup
	interval := time.Second / time.Duration(perSecond)
	due := time.NewTicker(interval)
	begun := time.Now()
	last := begun
	// The next run goes on where this one ends, as long as both ask at the same rate.
	port := int(begun.UnixNano() / int64(interval) % ports)
	fmt.Println("asking")
	for {
		select {
		case now := <-due.C:
			result.pause(now.Sub(last))
			last = now
			port = (port + 1) % ports
			from := firstPort + port
			asking.Go(func() {
				asked := time.Now()
				result.note(ask(server, name, from), begun, asked)
			})
		case <-ended:
			asking.Wait()
			json.NewEncoder(os.Stdout).Encode(&result)
			return
		}
	}
}

// ask sends one question and returns nil only for an answer with records.
func ask(server, name string, port int) error {
	id := uint16(port)
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{Port: port}}
	connection, err := dialer.Dial("udp4", server)
	if err != nil {
		return fmt.Errorf("no socket")
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	if _, err = connection.Write(question(name, id)); err != nil {
		return fmt.Errorf("not sent")
	}
	buffer := make([]byte, 512)
	size, err := connection.Read(buffer)
	if err != nil {
		return fmt.Errorf("no answer in %s, or unreachable", patience)
	}
	return answers(buffer[:size], id)
}

func question(name string, id uint16) []byte {
	message := dnsmessage.Message{
		Header: dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{
			Name:  dnsmessage.MustNewName(name),
			Type:  dnsmessage.TypeA,
			Class: dnsmessage.ClassINET,
		}},
	}
	packed, err := message.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

func answers(packed []byte, id uint16) error {
	var reply dnsmessage.Message
	if err := reply.Unpack(packed); err != nil {
		return fmt.Errorf("malformed reply")
	}
	if reply.ID != id {
		return fmt.Errorf("reply of another id")
	}
	if reply.RCode != dnsmessage.RCodeSuccess || len(reply.Answers) == 0 {
		return fmt.Errorf("%s with %d answers", reply.RCode, len(reply.Answers))
	}
	return nil
}
