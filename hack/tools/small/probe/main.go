// Command probe is the two ends of a test connection, for the tests of the development network.
//
//	probe serve tcp:8080 udp:5353    echo on these ports until stopped
//	probe dial tcp 10.0.0.1:8080     exit 0 when an echo comes back in time, 1 otherwise
//	probe connect tcp 10.0.0.1:8080  exit 0 when the connection is accepted in time, 1 otherwise
//	probe stream 10.0.0.1:8080       print a line per echo, ten a second, over one connection; exit 1 when it stalls
//
// In time means within PROBE_PATIENCE, by default a second and a half: long enough for a lost first packet to be repeated.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

var patience = patienceFrom(os.Getenv("PROBE_PATIENCE"))

func patienceFrom(said string) time.Duration {
	if given, err := time.ParseDuration(said); err == nil {
		return given
	}
	return 1500 * time.Millisecond
}

func main() {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "serve":
		serve(os.Args[2:])
	case len(os.Args) == 4 && os.Args[1] == "dial":
		finish(echo(dial(os.Args[2], os.Args[3])))
	case len(os.Args) == 4 && os.Args[1] == "connect":
		finish(dial(os.Args[2], os.Args[3]).Close())
	case len(os.Args) == 3 && os.Args[1] == "stream":
		finish(stream(dial("tcp", os.Args[2])))
	default:
		finish(fmt.Errorf("usage: probe serve|dial|connect|stream ..."))
	}
}

func finish(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("reached")
	os.Exit(0)
}

func serve(ports []string) {
	for _, port := range ports {
		network, number, _ := strings.Cut(port, ":")
		if network == "udp" {
			go serveUDP(":" + number)
		} else {
			go serveTCP(":" + number)
		}
	}
	select {}
}

func serveTCP(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		finish(err)
	}
	for {
		if connection, err := listener.Accept(); err == nil {
			go func() {
				defer connection.Close()
				_, _ = io.Copy(connection, connection)
			}()
		}
	}
}

func serveUDP(address string) {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		finish(err)
	}
	buffer := make([]byte, 2048)
	for {
		if n, from, err := socket.ReadFrom(buffer); err == nil {
			_, _ = socket.WriteTo(buffer[:n], from)
		}
	}
}

func dial(network, address string) net.Conn {
	connection, err := net.DialTimeout(network, address, patience)
	if err != nil {
		finish(err)
	}
	return connection
}

func echo(connection net.Conn) error {
	_ = connection.SetDeadline(time.Now().Add(patience))
	if _, err := connection.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := io.ReadFull(connection, make([]byte, 5))
	return err
}

func stream(connection net.Conn) error {
	for count := 1; ; count++ {
		if err := echo(connection); err != nil {
			return err
		}
		fmt.Println(count)
		time.Sleep(100 * time.Millisecond)
	}
}
