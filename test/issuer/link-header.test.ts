import t from 'tap'
import { alternatesIn } from '../../src/issuer/link-header.js'

const base = 'https://ca.example/acme/cert/1'

t.test('alternates', async (t) => {
  const table: readonly [header: string | undefined, alternates: readonly string[]][] = [
    [undefined, []],
    ['', []],
    ['<https://ca.example/acme/cert/1/1>;rel="alternate"', ['https://ca.example/acme/cert/1/1']],
    ['<https://a/1>; rel=alternate', ['https://a/1']],
    ['<https://a/1> ; REL = "Alternate"', ['https://a/1']],
    // Several headers, as HTTP joins them, among what is something else.
    [
      '<https://ca.example/dir>;rel="index", </acme/cert/1/1>;rel="alternate", <1/2>;rel="alternate"',
      ['https://ca.example/acme/cert/1/1', 'https://ca.example/acme/cert/1/2'],
    ],
    ['<https://a/1>;title="x, y; rel=alternate";rel="up"', []],
    ['<https://a/1,2;3>;title="x, y";rel="alternate";hreflang=de', ['https://a/1,2;3']],
    ['<https://a/1>;rel="up alternate"', ['https://a/1']],
    ['<https://a/1>;rel="alternates"', []],
    ['<https://a/1>;crossorigin;rel="alternate"', ['https://a/1']],
    ['<https://a/1>', []],
    ['<http://[>;rel="alternate"', []],
    ['https://a/1;rel="alternate"', []],
  ]
  for (const [header, alternates] of table) t.same(alternatesIn(header, base), alternates, header ?? 'none')
})

t.test('a header of any length is read in no time', async (t) => {
  const header = `<${'a'.repeat(20_000)}>${';a="b"'.repeat(5000)};rel${' '.repeat(20_000)}`
  t.same(alternatesIn(header, base), [])
})
