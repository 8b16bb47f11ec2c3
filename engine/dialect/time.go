package dialect

// The first and last moments that have a four-digit year.
const (
	timeMSMin = -62167219200000 // 0000-01-01T00:00:00.000Z
	timeMSMax = 253402300799999 // 9999-12-31T23:59:59.999Z
)

// AppendTime appends the moment ms, in Unix milliseconds, as both protocols write it: ISO 8601, UTC, three decimals, Z.
// Moments outside the years 0 to 9999 become the nearest one inside. Written by hand because it is on the path of every
// publication: BenchmarkAppendTime shows it beside time.AppendFormat.
func AppendTime(dst []byte, ms int64) []byte {
	ms = min(max(ms, timeMSMin), timeMSMax)
	since := uint64(ms - timeMSMin) // non-negative from here on
	year, month, day := civil(uint32(since / 86400000))
	rest := uint32(since % 86400000)
	dst = append(dst, "0000-00-00T00:00:00.000Z"...)
	b := (*[24]byte)(dst[len(dst)-24:])
	put2(b[0:2], year/100)
	put2(b[2:4], year%100)
	put2(b[5:7], month)
	put2(b[8:10], day)
	put2(b[11:13], rest/3600000)
	put2(b[14:16], rest/60000%60)
	put2(b[17:19], rest/1000%60)
	b[20] = byte('0' + rest%1000/100)
	put2(b[21:23], rest%100)
	return dst
}

// civil turns days since 0000-01-01 into a date of the proleptic Gregorian calendar. Years are counted from March, so
// that the leap day is a year's last, in eras of 400 years, which all have the same length.
func civil(days uint32) (year, month, day uint32) {
	days += 146097 - 60 // since -0400-03-01, so that January and February of year 0 lie in an era too
	era, inEra := days/146097, days%146097
	yearInEra := (inEra - inEra/1460 + inEra/36524 - inEra/146096) / 365
	inYear := inEra - (365*yearInEra + yearInEra/4 - yearInEra/100)
	march := (5*inYear + 2) / 153
	day = inYear - (153*march+2)/5 + 1
	year = era*400 + yearInEra - 400
	if march < 10 {
		return year, march + 3, day
	}
	return year + 1, march - 9, day
}

func put2(b []byte, n uint32) {
	b[0], b[1] = byte('0'+n/10), byte('0'+n%10)
}
