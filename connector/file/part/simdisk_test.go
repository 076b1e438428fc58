// SPDX-License-Identifier: Apache-2.0

package part

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// simDisk is a file system in memory that remembers what was done to it and what was synced, so that every state in
// which a crash can leave it can be made: any part of what was not synced may be there.
//
// Bytes belong to files and names to folders. A rename is two changes, of which the second never survives alone unless
// its folder was synced before that of the first.
type simDisk struct {
	mu   sync.Mutex
	root *simNode
	log  []*simChange
	next int
	// before is called ahead of each change and each sync.
	before func()
	calls  int
	// plain keeps no log: such a disk cannot crash.
	plain bool
}

type simNode struct {
	id    int
	names map[string]*simNode // nil for a file
	data  []byte
}

// simChange is one step. The tests' store writes into the same log, as it is durable at once.
type simChange struct {
	kind simKind
	node int // of the file or folder that is changed
	name string
	put  int // the node that gets the name
	dir  bool
	from int64 // offset or size
	data []byte
	// after is the change without which this one does not survive by itself, or -1.
	after int
	// synced is the length of the log when it was synced, or 0.
	synced int
	store  any
}

type simKind int

const (
	simPut simKind = iota
	simDelete
	simWrite
	simCut
	simStore
)

func newSimDisk() *simDisk {
	return &simDisk{root: &simNode{names: map[string]*simNode{}}, next: 1}
}

func simError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// enter calls the hook and locks.
func (d *simDisk) enter() {
	d.mu.Lock()
	d.calls++
	before := d.before
	d.mu.Unlock()
	if before != nil {
		before()
	}
	d.mu.Lock()
}

func (d *simDisk) find(name string) (*simNode, error) {
	node := d.root
	for one := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if one == "" {
			continue
		}
		if node.names == nil {
			return nil, simError("open", name, syscall.ENOTDIR)
		}
		if node = node.names[one]; node == nil {
			return nil, simError("open", name, fs.ErrNotExist)
		}
	}
	return node, nil
}

func (d *simDisk) above(name string) (*simNode, string, error) {
	i := strings.LastIndexByte(name, '/')
	folder, err := d.find(name[:max(i, 0)])
	if err == nil && folder.names == nil {
		err = simError("open", name, syscall.ENOTDIR)
	}
	return folder, name[i+1:], err
}

func (d *simDisk) add(c simChange) int {
	if d.plain {
		return -1
	}
	d.log = append(d.log, &c)
	return len(d.log) - 1
}

// give makes a new name for a new node.
func (d *simDisk) give(name string, names map[string]*simNode) (*simNode, error) {
	folder, last, err := d.above(name)
	if err != nil {
		return nil, err
	}
	if folder.names[last] != nil {
		return nil, simError("create", name, fs.ErrExist)
	}
	node := &simNode{id: d.next, names: names}
	d.next++
	folder.names[last] = node
	d.add(simChange{kind: simPut, node: folder.id, name: last, put: node.id, dir: names != nil, after: -1})
	return node, nil
}

func (d *simDisk) Create(name string) (io.WriteCloser, error) {
	d.enter()
	defer d.mu.Unlock()
	node, err := d.give(name, nil)
	if err != nil {
		return nil, err
	}
	return &simFile{disk: d, node: node}, nil
}

func (d *simDisk) Append(name string, size int64) (io.WriteCloser, error) {
	d.enter()
	defer d.mu.Unlock()
	node, err := d.find(name)
	switch {
	case err != nil:
		return nil, err
	case int64(len(node.data)) < size:
		return nil, io.ErrUnexpectedEOF
	case int64(len(node.data)) > size:
		node.data = node.data[:size:size]
		d.add(simChange{kind: simCut, node: node.id, from: size, after: -1})
	}
	return &simFile{disk: d, node: node}, nil
}

type simFile struct {
	disk *simDisk
	node *simNode
}

func (f *simFile) Write(p []byte) (int, error) {
	f.disk.enter()
	defer f.disk.mu.Unlock()
	if !f.disk.plain {
		f.disk.add(simChange{
			kind: simWrite, node: f.node.id, from: int64(len(f.node.data)), data: bytes.Clone(p), after: -1,
		})
	}
	f.node.data = append(f.node.data, p...)
	return len(p), nil
}

func (f *simFile) Close() error { return nil }

func (d *simDisk) Open(name string) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(node.data))), nil
}

func (d *simDisk) Rename(from, to string) error {
	d.enter()
	defer d.mu.Unlock()
	source, old, err := d.above(from)
	if err == nil && source.names[old] == nil {
		err = simError("rename", from, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	target, last, err := d.above(to)
	if err != nil {
		return err
	}
	if target.names[last] != nil {
		return simError("rename", to, fs.ErrExist)
	}
	node := source.names[old]
	target.names[last] = node
	delete(source.names, old)
	put := d.add(simChange{
		kind: simPut, node: target.id, name: last, put: node.id, dir: node.names != nil, after: -1,
	})
	d.add(simChange{kind: simDelete, node: source.id, name: old, put: node.id, after: put})
	return nil
}

func (d *simDisk) RenameFolder(from, to string) error { return d.Rename(from, to) }

func (d *simDisk) Remove(name string) error {
	d.enter()
	defer d.mu.Unlock()
	folder, last, err := d.above(name)
	switch {
	case err != nil:
		return err
	case folder.names[last] == nil:
		return simError("remove", name, fs.ErrNotExist)
	case len(folder.names[last].names) > 0:
		return simError("remove", name, syscall.ENOTEMPTY)
	}
	d.add(simChange{kind: simDelete, node: folder.id, name: last, put: folder.names[last].id, after: -1})
	delete(folder.names, last)
	return nil
}

func (d *simDisk) MakeFolder(name string) error {
	d.enter()
	defer d.mu.Unlock()
	if name == "/" {
		return simError("create", name, fs.ErrExist)
	}
	_, err := d.give(name, map[string]*simNode{})
	return err
}

func (d *simDisk) List(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if node.names == nil {
		return nil, simError("list", name, syscall.ENOTDIR)
	}
	return slices.Sorted(maps.Keys(node.names)), nil
}

func (d *simDisk) Size(name string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	node, err := d.find(name)
	if err != nil {
		return 0, err
	}
	return int64(len(node.data)), nil
}

func (d *simDisk) Sync(name string) error {
	d.enter()
	defer d.mu.Unlock()
	node, err := d.find(name)
	if err != nil {
		return err
	}
	for _, c := range d.log {
		if c.kind != simStore && c.node == node.id && c.synced == 0 {
			c.synced = len(d.log)
		}
	}
	return nil
}

// store notes what a state directory holds from now on.
func (d *simDisk) store(state any) {
	d.enter()
	defer d.mu.Unlock()
	d.add(simChange{kind: simStore, store: state, after: -1, synced: len(d.log) + 1})
}

// unsynced lists the changes before moment that may or may not survive a crash then.
func (d *simDisk) unsynced(moment int) []int {
	var out []int
	for i, c := range d.log[:moment] {
		if c.synced == 0 || c.synced > moment {
			out = append(out, i)
		}
	}
	return out
}

// survivors says what becomes of the changes that were not synced.
type survivors struct {
	name string
	keep func(i int) bool
	// tear has the last write that survives unsynced keep only its beginning.
	tear bool
}

// crash makes the disk that a crash at the moment leaves, and what the store held.
func (d *simDisk) crash(moment int, s survivors) (*simDisk, any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := make([]bool, moment)
	torn := -1
	var store any
	for i, c := range d.log[:moment] {
		if c.kind == simStore {
			store = c.store
		}
		synced := c.synced != 0 && c.synced <= moment
		kept[i] = synced || s.keep(i) && (c.after < 0 || kept[c.after])
		if kept[i] && !synced && c.kind == simWrite {
			torn = i
		}
	}
	nodes := map[int]*simNode{0: {names: map[string]*simNode{}}}
	for i, c := range d.log[:moment] {
		if !kept[i] || c.kind == simStore {
			// A node exists, whether it has a name or not.
			if c.kind == simPut && nodes[c.put] == nil {
				nodes[c.put] = newSimNode(c)
			}
			continue
		}
		data := c.data
		if s.tear && i == torn {
			data = data[:len(data)/2]
		}
		nodes[c.node].apply(c, data, nodes)
	}
	out := &simDisk{root: nodes[0], next: d.next}
	out.settle(out.root)
	return out, store
}

func newSimNode(c *simChange) *simNode {
	node := &simNode{id: c.put}
	if c.dir {
		node.names = map[string]*simNode{}
	}
	return node
}

func (n *simNode) apply(c *simChange, data []byte, nodes map[int]*simNode) {
	switch c.kind {
	case simStore:
	case simPut:
		if nodes[c.put] == nil {
			nodes[c.put] = newSimNode(c)
		}
		n.names[c.name] = nodes[c.put]
	case simDelete:
		if at := n.names[c.name]; at != nil && at.id == c.put {
			delete(n.names, c.name)
		}
	case simWrite:
		if missing := int(c.from) - len(n.data); missing > 0 {
			n.data = append(n.data, make([]byte, missing)...)
		}
		n.data = append(n.data[:c.from:c.from], data...)
	case simCut:
		n.data = n.data[:min(int(c.from), len(n.data)):min(int(c.from), len(n.data))]
	}
}

// settle fills the log with what the disk holds, as synced.
func (d *simDisk) settle(folder *simNode) {
	for _, name := range slices.Sorted(maps.Keys(folder.names)) {
		node := folder.names[name]
		i := d.add(simChange{kind: simPut, node: folder.id, name: name, put: node.id, dir: node.names != nil, after: -1})
		d.log[i].synced = i + 1
		if node.names != nil {
			d.settle(node)
			continue
		}
		i = d.add(simChange{kind: simWrite, node: node.id, data: node.data, after: -1})
		d.log[i].synced = i + 1
	}
}

// files lists the files below a folder with their contents, by their paths.
func (d *simDisk) files(folder string) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]string{}
	var walk func(node *simNode, path string)
	walk = func(node *simNode, path string) {
		for name, one := range node.names {
			if one.names != nil {
				walk(one, path+name+"/")
			} else {
				out[path+name] = string(one.data)
			}
		}
	}
	if node, err := d.find(folder); err == nil {
		walk(node, "")
	}
	return out
}

// crashes lists what may survive of changes that were not synced: everything, nothing, all but one, one alone, and
// random choices.
func crashes(unsynced []int, rng *rand.Rand, random int) []survivors {
	out := []survivors{
		{name: "everything survives", keep: func(int) bool { return true }},
		{name: "everything survives, the last write is torn", keep: func(int) bool { return true }, tear: true},
		{name: "nothing survives", keep: func(int) bool { return false }},
	}
	if len(unsynced) < 2 {
		return out
	}
	for _, one := range unsynced {
		out = append(out,
			survivors{name: "one is lost", keep: func(i int) bool { return i != one }},
			survivors{name: "one survives", keep: func(i int) bool { return i == one }})
	}
	for range random {
		chosen := map[int]bool{}
		for _, one := range unsynced {
			chosen[one] = rng.IntN(2) == 0
		}
		out = append(out, survivors{name: "some survive", keep: func(i int) bool { return chosen[i] }})
	}
	return out
}
