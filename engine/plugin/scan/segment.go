package scan

// constExpr reads an initializer: one constant and an end. Globals below known may be read.
func (s *scanner) constExpr(known int) {
	switch op := Op(s.byte()); op {
	case OpI32Const:
		s.sleb(32)
	case OpI64Const:
		s.sleb(64)
	case OpF32Const:
		s.skip(4)
	case OpF64Const:
		s.skip(8)
	case OpGlobalGet:
		s.index("global", known)
	case OpRefNull:
		if t := s.byte(); s.err == nil && !isRefType(t) {
			s.failf("0x%02x is no reference type", t)
		}
	case OpRefFunc:
		s.index("function", len(s.m.Funcs))
	case 0xfd:
		if n := s.uleb(); s.err == nil && 0xfd00+Op(n) != OpV128Const {
			s.failf("opcode 0xfd %d in a constant", n)
		}
		s.skip(16)
	default:
		s.failf("opcode 0x%02x in a constant: only plain constants are supported", uint16(op))
	}
	if b := s.byte(); s.err == nil && Op(b) != OpEnd {
		s.failf("constant of more than one instruction")
	}
}

// elementSection reads the element segments in their eight forms. Bit 0 of the flags is passive or declarative, bit 1
// an explicit table or declarative, bit 2 expressions instead of function indexes.
func (s *scanner) elementSection() {
	n := s.count("element segments", s.limits.SegmentsMax, "segments_max", 2)
	for i := 0; i < n && s.err == nil; i++ {
		flags := s.uleb()
		if s.err == nil && flags > 7 {
			s.failf("element segment with flags %d", flags)
		}
		if flags&1 == 0 {
			table := uint32(0)
			if flags&2 != 0 {
				table = s.uleb()
			}
			if s.err == nil && uint64(table) >= uint64(len(s.m.Tables)) {
				s.failf("element segment for table %d of %d", table, len(s.m.Tables))
			}
			s.constExpr(len(s.m.Globals))
		}
		if flags&3 != 0 {
			s.elementKind(flags)
		}
		s.elementList(flags&4 != 0)
	}
	s.m.ElementSegments = n
}

func (s *scanner) elementKind(flags uint32) {
	b := s.byte()
	if flags&4 != 0 {
		if s.err == nil && !isRefType(b) {
			s.failf("element segment of 0x%02x", b)
		}
	} else if s.err == nil && b != 0 {
		s.failf("element kind 0x%02x", b)
	}
}

func (s *scanner) elementList(expressions bool) {
	n := s.count("elements", s.limits.SegmentElementsMax-s.elements, "segment_elements_max", 1)
	s.elements += n
	for i := 0; i < n && s.err == nil; i++ {
		if expressions {
			s.constExpr(len(s.m.Globals))
		} else {
			s.index("function", len(s.m.Funcs))
		}
	}
}

func (s *scanner) dataSection() {
	n := s.count("data segments", s.limits.SegmentsMax-s.m.ElementSegments, "segments_max", 2)
	for i := 0; i < n && s.err == nil; i++ {
		flags := s.uleb()
		switch {
		case s.err != nil:
			return
		case flags > 2:
			s.failf("data segment with flags %d", flags)
			return
		case flags == 2:
			s.index("memory", s.m.Memories)
		}
		if flags != 1 {
			if s.m.Memories == 0 {
				s.failf("data segment without a memory")
			}
			s.constExpr(len(s.m.Globals))
		}
		s.skip(int(s.uleb()))
	}
	s.m.DataSegments = n
}

// custom reads a custom section's name, and all of the name section: a decoder that believes its counts allocates
// sixteen bytes for each of four thousand million names.
func (s *scanner) custom(sec *Section) {
	if s.customs++; s.customs > s.limits.CustomSectionsMax {
		s.failf("more than %d custom sections (custom_sections_max)", s.limits.CustomSectionsMax)
		return
	}
	sec.Name = s.name("custom section name", s.limits.NameBytesMax)
	if sec.Name != "name" || s.outline {
		s.pos = s.end
		return
	}
	for _, other := range s.m.Sections {
		if other.ID == SectionCustom && other.Name == "name" {
			s.failf("name section twice")
			return
		}
	}
	whole := s.end
	for s.more() {
		id := s.byte()
		size := s.count("bytes of names", s.end-s.pos, "", 1)
		s.end = s.pos + size
		s.names(id)
		if s.err == nil && s.pos != s.end {
			s.failf("subsection %d of the name section has bytes left", id)
		}
		if s.err != nil {
			break
		}
		s.end = whole
	}
	s.end = whole
}

func (s *scanner) names(id byte) {
	switch id {
	case 0:
		s.name("module name", s.limits.NameBytesMax)
	case 1:
		s.nameMap()
	case 2:
		n := s.count("named functions", s.end, "", 2)
		for i := 0; i < n && s.err == nil; i++ {
			s.uleb()
			s.nameMap()
		}
	default: // labels, types, tables and so on, which nobody reads
		s.pos = s.end
	}
}

func (s *scanner) nameMap() {
	n := s.count("names", s.end, "", 2)
	for i := 0; i < n && s.err == nil; i++ {
		s.uleb()
		s.name("name", s.limits.NameBytesMax)
	}
}
