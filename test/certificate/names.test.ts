import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { canonicalName, covers, isWildcard, readAlternativeNames, whyUncovered } from '../../src/certificate/names.js'
import { readCertificate } from '../../src/certificate/x509.js'
import { mintLeaf } from '../mint.js'
import { fileOf, openssl } from './judge.js'

const namesOf = (der: Buffer): { names: readonly string[]; odd: readonly string[] } => {
  const { names, oddNames: odd } = readCertificate(der, 'the certificate')
  return { names, odd }
}

/** A certificate whose alternative names are exactly these lines of openssl's configuration. */
const withAlternativeNames = (...lines: string[]): X509Certificate => {
  const configuration = [
    '[req]\ndistinguished_name = dn\nx509_extensions = v3\nprompt = no',
    '[dn]\nCN = any',
    '[v3]\nbasicConstraints = CA:FALSE\nsubjectAltName = @names',
    '[folder]\nCN = d, DNS:evil.test\nO = x',
    `[names]\n${lines.join('\n')}\n`,
  ].join('\n')
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', fileOf('')]
  return new X509Certificate(openssl('req', '-x509', '-config', fileOf(configuration), '-days', '9', ...curve))
}

t.test('one spelling for each name', async (t) => {
  const spellings: Record<string, string[]> = {
    'example.com': ['example.com', 'EXAMPLE.com', 'Example.Com.', 'ｅｘａｍｐｌｅ.com', 'example。com'],
    '*.example.com': ['*.example.com', '*.EXAMPLE.COM', '*.example.com.'],
    'xn--bcher-kva.example': ['bücher.example', 'BÜCHER.example', 'xn--bcher-kva.example', 'XN--BCHER-KVA.example.'],
    '*.xn--bcher-kva.example': ['*.bücher.example', '*.xn--bcher-kva.example'],
    'xn--fa-hia.de': ['faß.de'],
    'xn--fiqs8s.xn--55qx5d.cn': ['中国.公司.cn', '中国。公司。cn'],
    localhost: ['localhost', 'LOCALHOST'],
    'a-1.test': ['a-1.test'],
    '_dmarc.example.com': ['_dmarc.example.com'],
    'a_b.example.com': ['a_b.example.com'],
    '1.example.com': ['1.example.com'],
    '*.com': ['*.com'],
    '192.0.2.1': ['192.0.2.1', '[192.0.2.1]'],
    '2001:db8::1': [
      '2001:db8::1',
      '2001:DB8::1',
      '2001:0db8:0000:0000:0000:0000:0000:0001',
      '2001:db8:0:0:0:0:0:1',
      '2001:db8:0::0:1',
      '[2001:DB8::1]',
      '2001:db8::0.0.0.1',
    ],
    '::1': ['::1', '0:0:0:0:0:0:0:1', '[::1]', '::0.0.0.1'],
    '::': ['::', '0::', '0:0:0:0:0:0:0:0'],
    '::ffff:c000:201': ['::ffff:192.0.2.1', '::FFFF:c000:0201', '[::ffff:192.0.2.1]'],
    '2001:db8:0:1:1:1:1:1': ['2001:db8:0:1:1:1:1:1', '2001:db8::1:1:1:1:1'],
    [`${'a'.repeat(63)}.test`]: [`${'A'.repeat(63)}.test`],
    [`${'abcdefg.'.repeat(31)}abcde`]: [`${'abcdefg.'.repeat(31)}abcde`],
  }
  for (const [canonical, variants] of Object.entries(spellings)) {
    for (const name of variants) t.equal(canonicalName(name), canonical, name)
    t.equal(canonicalName(canonical), canonical, `${canonical} is its own canonical form`)
    t.ok(covers(variants, canonical), 'so that they cover each other')
  }
})

t.test('what is no name', async (t) => {
  const nothing = [
    ...['', '.', '..', '*', '*.', '**', '[]', '[', 'a..b', '.a.test', 'a.test..', '-a.test', 'a-.test'],
    ...['*.*.a.test', 'a.*.test', 'f*.a.test', '*a.test', '[*.a.test]', '[a.test]'],
    ...[' a.test', 'a.test ', 'a b.test', 'a\0.test', 'a.test\0', '"a.test"', 'a,b.test', 'a;b.test', '<a.test>'],
    ...['a.test:80', 'user@a.test', 'https://a.test', 'a%00b.test', '%2a.a.test', '%', 'a%zz.test'],
    ...['1.2.3', '1.2.3.4.', '1.2.3.4.5', '256.1.1.1', '01.02.03.04', '0x7f.1', '127.1', '2130706433', '*.1.2.3.4'],
    ...['a.123', '::1]', '[::1', ':::', '1::2::3', '12345::', 'fe80::1%eth0', '[fe80::1%25eth0]', '::1/128'],
    ...[
      'xn--a',
      '*.xn--a',
      'xn--.test',
      `${'a'.repeat(64)}.test`,
      `${'abcdefg.'.repeat(31)}abcdef`,
      'a'.repeat(100_000),
    ],
  ]
  for (const name of nothing) t.equal(canonicalName(name), undefined, JSON.stringify(name.slice(0, 40)))
})

t.test('a name is not cut out of something longer, nor decoded into one', async (t) => {
  const longer = ['a.test/b', 'a.test/', 'a.test?b', 'a.test#b', 'a.test\\b', '*.a.test/', 'ex%61mple.test', 'a%2etest']
  const broken = ['a\ttest.test', 'a.test\n', '\ra.test', 'a.\ntest']
  for (const name of [...longer, ...broken]) t.equal(canonicalName(name), undefined, JSON.stringify(name))
})

t.test('a wildcard stands for exactly one label', async (t) => {
  const names = [
    'example.com',
    '*.example.com',
    '*.deep.example.org',
    'xn--bcher-kva.example',
    '192.0.2.1',
    '2001:db8::1',
  ]
  const covered = [
    ...['example.com', 'EXAMPLE.COM.', 'www.example.com', 'WWW.example.com', 'bücher.example.com', '_x.example.com'],
    ...['*.example.com', 'a.deep.example.org', '*.deep.example.org', 'Bücher.example', 'xn--bcher-kva.example'],
    ...['192.0.2.1', '2001:DB8:0::1', '[2001:db8::1]'],
  ]
  const uncovered = [
    ...['a.b.example.com', '*.b.example.com', '*.*.example.com', 'deep.example.org', 'example.org', 'a.example.org'],
    ...['a.b.deep.example.org', 'aexample.com', 'example.com.evil', 'com', '*.com', '.example.com', '*', ''],
    ...['www.xn--bcher-kva.example', '192.0.2.2', '0.2.1', '2001:db8::2', '::ffff:192.0.2.1', 'www..example.com'],
  ]
  for (const host of covered) t.ok(covers(names, host), host)
  for (const host of uncovered) t.notOk(covers(names, host), `not ${host}`)
  t.ok(covers(['*.BÜCHER.example'], 'www.bücher.example'), 'in any spelling on both sides')
  t.notOk(covers([], 'example.com'))
  t.notOk(covers(['', '*', 'a..b'], 'a..b'), 'two names that are none are not the same one')
  t.notOk(covers(['*.2.1', '*.0.2.1'], '192.0.2.1'), 'an address has no labels')
  t.notOk(covers(['*.com'], 'com'))
  t.ok(covers(['*.com'], 'example.com'), 'the rule says nothing of public suffixes')
  t.same([...names, '*', 'a*.b'].filter(isWildcard), ['*.example.com', '*.deep.example.org'])
})

t.test('covering agrees with openssl', async (t) => {
  const names = [
    'example.com',
    '*.example.com',
    '*.deep.example.org',
    'xn--bcher-kva.example',
    '192.0.2.1',
    '2001:db8::1',
  ]
  const x509 = new X509Certificate((await mintLeaf({ names })).der)
  const hosts = [
    ...[
      'example.com',
      'www.example.com',
      'WWW.EXAMPLE.COM',
      'a.b.example.com',
      'deep.example.org',
      'a.deep.example.org',
    ],
    ...[
      'a.b.deep.example.org',
      'xn--bcher-kva.example',
      'www.xn--bcher-kva.example',
      'aexample.com',
      'com',
      'other.test',
    ],
  ]
  for (const host of hosts) t.equal(covers(names, host), x509.checkHost(host) !== undefined, host)
  for (const address of ['192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2', '2001:DB8:0:0:0:0:0:1']) {
    t.equal(covers(names, address), x509.checkIP(address) !== undefined, address)
  }
})

t.test('why a name is not covered', async (t) => {
  t.match(whyUncovered(['*.a.test'], 'a.test'), /\*\.a\.test does not cover a\.test itself/)
  t.match(whyUncovered(['*.a.test'], 'A.TEST.'), /does not cover a\.test itself/, 'in our spelling')
  t.match(whyUncovered(['b.test', '*.a.test'], 'c.b.a.test'), /exactly one label.*c\.b\.a\.test.*\*\.b\.a\.test/)
  t.match(
    whyUncovered(['*.a.test', '*.b.test'], 'b.test'),
    /\*\.b\.test does not cover/,
    'the wildcard that it is about',
  )
  t.match(whyUncovered(['a.test', 'b.test'], 'c.test'), /for a\.test, b\.test/)
  t.match(whyUncovered(['*.a.test'], 'ba.test'), /for \*\.a\.test/, 'no label in common')
  t.match(whyUncovered(['a.test'], 'no name'), /for a\.test/)
  t.match(whyUncovered([], 'a.test'), /no name at all/)
})

t.test('the names of a certificate', async (t) => {
  const mixed = ['www.example.com', '*.example.com', '192.0.2.1', '2001:db8::1', 'xn--bcher-kva.example', '_a.test']
  t.same(namesOf((await mintLeaf({ names: mixed })).der), { names: mixed, odd: [] }, 'in their own order')
  const spelled = await mintLeaf({ names: ['A.Test', 'a.test', '2001:DB8:0:0::1', 'b.test'] })
  t.same(namesOf(spelled.der).names, ['a.test', '2001:db8::1', 'b.test'], 'in one spelling, once each')
  t.same(namesOf((await mintLeaf({ names: ['a.test'], san: false })).der), { names: [], odd: [] }, 'never the CN')
  const many = Array.from({ length: 1000 }, (_, i) => `host-${i}.example.com`)
  t.same(namesOf((await mintLeaf({ names: many })).der).names, many)
  t.same(readAlternativeNames(undefined), { names: [], odd: [] })
  t.same(readAlternativeNames(''), { names: [], odd: [] })
})

t.test('a hostile alternative name is never more than one', async (t) => {
  const hostile = [
    'a, DNS:evil.test',
    'a,DNS:evil.test',
    'a", DNS:evil.test, DNS:"b',
    '"a, DNS:evil.test"',
    '"a", DNS:evil.test',
    'a\\", DNS:evil.test',
    "a', DNS:evil.test, '",
    'DNS:evil.test',
    'a\nDNS:evil.test',
    'a.test\0.evil.test',
    'evil.test\0',
    'a.test, IP Address:192.0.2.9',
    ', DNS:evil.test, ',
    'evil.test ',
    ' evil.test',
    'evil.test/x',
    'evil.test?x',
    'evil.test#x',
    'evil.test\\x',
    '%65vil.test',
    'evil.tes\tt',
    '*.*.evil.test',
    '*',
    '192.0.2.9.',
    'http://evil.test',
    // RFC 5280, 4.2.1.6: the preferred name syntax has no final dot, and no client matches it.
    'evil.test.',
  ]
  for (const name of hostile) {
    const { der } = await mintLeaf({ names: ['good.test', name, 'last.test'], commonName: 'good.test' })
    t.notOk(new X509Certificate(der).checkHost('evil.test'), 'openssl does not see it either')
    const { names, odd } = namesOf(der)
    t.same(names, ['good.test', 'last.test'], JSON.stringify(name))
    t.equal(odd.length, 1, 'and it is reported')
  }
})

t.test('other kinds of alternative names are none of ours, whatever stands in them', async (t) => {
  const x509 = withAlternativeNames(
    'otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:x, DNS:evil.test, y',
    'otherName.2 = 1.2.3.4;UTF8:x, DNS:evil.test, y',
    'URI.1 = https://u.test/, DNS:evil.test, DNS:z',
    'URI.2 = https://DNS:evil.test',
    'email.1 = someone@evil.test',
    'DNS.1 = good.test',
    'RID.1 = 1.2.3.4',
    'IP.1 = 2001:DB8::1',
    'dirName.1 = folder',
    'DNS.2 = 192.0.2.7',
    'DNS.3 =',
    'IP.2 = 192.0.2.1',
  )
  const { names, odd } = namesOf(x509.raw)
  t.same(names, ['good.test', '2001:db8::1', '192.0.2.1'])
  t.same(odd, ['192.0.2.7', ''], 'an address as a DNS name, and a name without a letter, match nothing')
  t.equal(x509.checkHost('192.0.2.7') && x509.checkIP('192.0.2.7'), undefined)
})

t.test('as node prints them', async (t) => {
  const printed: Array<[string, string[], number]> = [
    ['DNS:a.test, DNS:b.test', ['a.test', 'b.test'], 0],
    ['DNS:"a\\u002c DNS:evil.test", DNS:b.test', ['b.test'], 1],
    ['DNS:"a, DNS:evil.test", DNS:b.test', ['b.test'], 1],
    ['DNS:"a\\", DNS:evil.test", DNS:b.test', ['b.test'], 1],
    ['DNS:"a\\\\", DNS:b.test', ['b.test'], 1],
    ['DNS:"", DNS:b.test', ['b.test'], 1],
    ['URI:"x, DNS:evil.test", DNS:b.test', ['b.test'], 0],
    ['othername:"UPN:x, DNS:evil.test", DNS:b.test', ['b.test'], 0],
    ['othername:<unsupported>, DNS:b.test', ['b.test'], 0],
    ['IP Address:<invalid length=5>, DNS:b.test', ['b.test'], 1],
    ['IP Address:a.test, DNS:192.0.2.1', [], 2],
    ['IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1', ['192.0.2.1', '2001:db8::1'], 0],
    ['email:a@b.test, Registered ID:1.2.3, DirName:"CN=a\\u002cO=b"', [], 0],
  ]
  for (const [text, names, odd] of printed) {
    const read = readAlternativeNames(text)
    t.same(read.names, names, text)
    t.equal(read.odd.length, odd, 'passed over')
  }
})

t.test('an address of the wrong length', async (t) => {
  const leaf = await mintLeaf({ names: ['good.test', '192.0.2.1'] })
  // The address of four bytes becomes one of two, and a DNS name of none behind it.
  const at = leaf.der.indexOf(Buffer.from('8704c0000201', 'hex'))
  const der = Buffer.from(leaf.der)
  Buffer.from('8702c0008200', 'hex').copy(der, at)
  const { names, odd } = namesOf(der)
  t.same(names, ['good.test'])
  t.equal(odd.length, 2)
})
