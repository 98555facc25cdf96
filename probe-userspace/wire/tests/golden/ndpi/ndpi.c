/* Wrote ndpi.frames: flows as an nProbe has them, by nDPI 4.2's own serializer (Debian 12: libndpi-dev), as TLV and as JSON, behind the four headers that a
 * compiler lays out. Build: gcc ndpi.c -lndpi -lm -lgcrypt. Not part of any build here. */
#include <ndpi/ndpi_api.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#define N(id) (57472+(id))
static void flow(ndpi_serializer *s, int i) {
  const int v6 = i == 2, icmp = i == 3, udp = i == 1;
  ndpi_serialize_uint32_uint64(s, 1, i == 0 ? 5000000000ULL : 1500 + i);
  ndpi_serialize_uint32_uint64(s, 2, 1000 + i);
  ndpi_serialize_uint32_uint64(s, 23, i ? 70000 : 0);
  ndpi_serialize_uint32_uint64(s, 24, i ? 66 : 0);
  ndpi_serialize_uint32_string(s, 8, v6 ? "0.0.0.0" : "192.168.1.10");
  ndpi_serialize_uint32_string(s, 12, v6 ? "0.0.0.0" : "93.184.216.34");
  ndpi_serialize_uint32_string(s, 27, v6 ? "2001:db8::a" : "::");
  ndpi_serialize_uint32_string(s, 28, v6 ? "2001:db8::b" : "::");
  ndpi_serialize_uint32_uint32(s, 60, v6 ? 6 : 4);
  ndpi_serialize_uint32_uint32(s, 7, icmp ? 0 : 51000 + i);
  ndpi_serialize_uint32_uint32(s, 11, icmp ? 0 : 443);
  ndpi_serialize_uint32_uint32(s, 4, icmp ? 1 : udp ? 17 : 6);
  ndpi_serialize_uint32_uint32(s, 22, 1700000000 + i);
  ndpi_serialize_uint32_uint32(s, 21, 1700000005 + i);
  ndpi_serialize_uint32_uint64(s, 152, 1700000000250ULL + 1000 * i);
  ndpi_serialize_uint32_uint64(s, 153, 1700000005750ULL + 1000 * i);
  if(!icmp && !udp) { ndpi_serialize_uint32_uint32(s, N(78), 0x1b); ndpi_serialize_uint32_uint32(s, N(79), 0x1a); ndpi_serialize_uint32_uint32(s, 6, 0x1b); }
  if(icmp) ndpi_serialize_uint32_uint32(s, 32, 3 * 256 + 1);
  ndpi_serialize_uint32_uint32(s, 5, 8);
  ndpi_serialize_uint32_uint32(s, 10, 3);
  ndpi_serialize_uint32_uint32(s, 58, i == 1 ? 120 : 0);
  ndpi_serialize_uint32_uint32(s, 243, 0);
  ndpi_serialize_uint32_string(s, 130, "10.9.8.7");
  ndpi_serialize_uint32_string(s, N(118), "91.119");
  ndpi_serialize_uint32_float(s, N(123), 1.75f, "%.3f");
  ndpi_serialize_uint32_int32(s, N(500), -70000);
  ndpi_serialize_uint32_int64(s, N(501), -5000000000LL);
  ndpi_serialize_uint32_string(s, N(180), "example.org \"quoted\"\\");
  ndpi_serialize_string_string(s, "JA4C_HASH", "t13d1516h2_8daaf6152771_e5627efa2ab1");
  ndpi_serialize_string_uint32(s, "NPROBE_INSTANCE", 4711);
  ndpi_serialize_string_float(s, "ENTROPY", 7.5f, "%.1f");
  ndpi_serialize_uint32_string(s, 136, i == 0 ? "Active Timeout" : i == 1 ? "Idle Timeout" : "End of Flow");
  ndpi_serialize_end_of_record(s);
}
static void frame(FILE *f, const void *p, unsigned n) { unsigned char l[4] = { n >> 24, n >> 16, n >> 8, n }; fwrite(l, 1, 4, f); fwrite(p, 1, n, f); }
struct v3 { char url[16]; unsigned char version, flags; unsigned int usize, csize, msg_id, source_id; };
struct v2 { char url[16]; unsigned char version; unsigned short size; unsigned int msg_id; unsigned int source_id; };
struct v1 { char url[16]; unsigned char version, source_id; unsigned short size; unsigned int msg_id; };
struct v0 { char url[32]; unsigned int version, size; };
int main(void) {
  FILE *f = fopen("ndpi.frames", "wb");
  for(int fmt = 1; fmt <= 2; fmt++)
   for(int h = 0; h < 4; h++) {
    ndpi_serializer s; ndpi_init_serializer(&s, fmt);
    for(int i = 0; i < 4; i++) flow(&s, i);
    u_int32_t len; char *b = ndpi_serializer_get_buffer(&s, &len);
    fputc(2, f);
    unsigned ver = fmt == 1 ? 3 : 2;
    if(h == 3) { struct v3 x; memset(&x, 0, sizeof x); strcpy(x.url, "flow"); x.version = 4; x.flags = fmt == 1 ? 2 : 0; x.usize = x.csize = len; x.msg_id = htonl(fmt * 10 + h); x.source_id = 77; frame(f, &x, sizeof x); }
    if(h == 2) { struct v2 x; memset(&x, 0, sizeof x); strcpy(x.url, "flow"); x.version = ver; x.size = len; x.msg_id = htonl(fmt * 10 + h); x.source_id = 77; frame(f, &x, sizeof x); }
    if(h == 1) { struct v1 x; memset(&x, 0, sizeof x); strcpy(x.url, "flow"); x.version = ver; x.size = len; x.msg_id = htonl(fmt * 10 + h); x.source_id = 77; frame(f, &x, sizeof x); }
    if(h == 0) { struct v0 x; memset(&x, 0, sizeof x); strcpy(x.url, "flow"); x.version = ver; x.size = len; frame(f, &x, sizeof x); }
    frame(f, b, len);
      ndpi_term_serializer(&s);
   }
  return 0;
}
