import t from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { readCertificate } from '../../src/certificate/x509.js'
import type { LeadsTo } from '../../src/proof/dns-path.js'
import { type Expectation, expectationOf } from '../../src/proof/expectation.js'
import type { Handshake, Trust } from '../../src/proof/handshake.js'
import type { Problem } from '../../src/proof/problem.js'
import { judge, type Verdict } from '../../src/proof/verdict.js'
import { Secret } from '../../src/secret.js'
import { crossSign, keyPem, type Minted, mintAuthority, mintLeaf } from '../mint.js'

const host = 'static.example.com'
const now = new Date('2026-06-15T12:00:00Z')
const spring = { notBefore: new Date('2026-05-01T00:00:00Z'), notAfter: new Date('2026-07-30T00:00:00Z') }
const ages = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2040-01-01T00:00:00Z') }

const root = await mintAuthority({ name: 'Root', ...ages })
const intermediate = await mintAuthority({ name: 'Intermediate', issuer: root, ...ages })
const above = await mintAuthority({ name: 'Other Root', ...ages })
const crossed = await crossSign(root, above, ages)
const issuerUrl = 'http://ca.example.com/intermediate.der'
const leaf = await mintLeaf({ issuer: intermediate, names: [host, '*.example.com'], issuerUrl, ...spring })
const before = await mintLeaf({ issuer: intermediate, names: [host], issuerUrl, ...spring })

const read = ({ der }: Minted) => readCertificate(der, 'the certificate')
const sha256 = (one: Minted): string => read(one).fingerprint.sha256
const unknownRoot = { reason: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' }
const leafOnly = { reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }

const presented = (one: Minted, others: readonly Minted[], trusted: Trust = true): Handshake => ({
  kind: 'presented',
  certificates: [read(one), ...others.map(read)],
  protocol: 'TLSv1.3',
  trusted,
})

interface Rest {
  readonly expectation?: Expectation
  readonly leadsTo?: LeadsTo
  readonly host?: string
}

const judged = (handshake: Handshake, rest: Rest = {}): Verdict =>
  judge({ host, handshake, expectation: {}, leadsTo: 'unknown', now, ...rest })

const problemOf = (handshake: Handshake, rest: Rest = {}): Problem => {
  const verdict = judged(handshake, rest)
  if (verdict.served) throw new Error('it is served')
  return verdict.problem
}

const expected: Expectation = { sha256: sha256(leaf), chain: [sha256(intermediate)] }

t.test('the right certificate', async (t) => {
  t.same(judged(presented(leaf, [intermediate])), { served: true, warning: undefined })
  t.same(judged(presented(leaf, [intermediate]), { expectation: expected }), { served: true, warning: undefined })
  t.same(judged(presented(leaf, [intermediate]), { host: 'any.example.com' }), { served: true, warning: undefined })
  t.same(judged(presented(leaf, [intermediate]), { expectation: expected, leadsTo: 'cdn' }), {
    served: true,
    warning: undefined,
  })
})

t.test('an unknown root fails only where nothing is expected', async (t) => {
  for (const reason of ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'SELF_SIGNED_CERT_IN_CHAIN']) {
    const handshake = presented(leaf, [intermediate], { reason })
    t.match(judged(handshake, { expectation: expected }), { served: true, warning: /CN=Intermediate.*not known/ })
    t.match(problemOf(handshake), {
      kind: 'untrusted',
      browser: 'ERR_CERT_AUTHORITY_INVALID',
      sentence: 'the certificate served was issued by CN=Intermediate, which is not trusted',
      hint: /NODE_EXTRA_CA_CERTS/,
    })
  }
  const own = await mintLeaf({ names: [host], ...spring })
  const handshake = presented(own, [], { reason: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  t.match(problemOf(handshake), { kind: 'untrusted', sentence: 'the certificate served is signed by itself' })
  t.match(judged(handshake, { expectation: { sha256: sha256(own) } }), { served: true, warning: /not known/ })
})

t.test('what else OpenSSL finds fails whatever is expected', async (t) => {
  for (const [reason, kind, browser] of [
    ['CERT_REVOKED', 'untrusted', 'ERR_CERT_REVOKED'],
    ['INVALID_PURPOSE', 'untrusted', 'ERR_CERT_INVALID'],
    ['CERT_SIGNATURE_FAILURE', 'untrusted', 'ERR_CERT_INVALID'],
    ['CERT_HAS_EXPIRED', 'expired', 'ERR_CERT_DATE_INVALID'],
    ['CERT_NOT_YET_VALID', 'expired', 'ERR_CERT_DATE_INVALID'],
  ] as const) {
    const handshake = presented(leaf, [intermediate], { reason })
    t.match(problemOf(handshake, { expectation: expected }), { kind, browser }, reason)
    t.match(problemOf(handshake), { kind, browser }, reason)
  }
  const old = await mintAuthority({ name: 'Old', issuer: root, notBefore: ages.notBefore, notAfter: spring.notBefore })
  const below = await mintLeaf({ issuer: old, names: [host], ...spring })
  t.match(problemOf(presented(below, [old], { reason: 'CERT_HAS_EXPIRED' })), {
    sentence: 'the certificate of CN=Old, sent above it, is not in force',
  })
})

t.test('dates', async (t) => {
  const expired = await mintLeaf({ issuer: intermediate, names: [host], notAfter: new Date('2026-06-01T08:30:00Z') })
  const early = await mintLeaf({ issuer: intermediate, names: [host], notBefore: new Date('2026-06-20T00:00:00Z') })
  const handshake = presented(expired, [intermediate], { reason: 'CERT_HAS_EXPIRED' })
  t.match(problemOf(handshake), {
    kind: 'expired',
    browser: 'ERR_CERT_DATE_INVALID',
    sentence: 'the certificate served expired on 2026-06-01 08:30Z',
    cause: /no newer one was deployed/,
    hint: /2026-06-15 12:00Z now, set the clock/,
  })
  t.match(problemOf(handshake, { expectation: { sha256: sha256(expired) } }), { kind: 'expired', cause: /that one/ })
  t.match(problemOf(presented(early, [intermediate])), {
    kind: 'not-yet-valid',
    browser: 'ERR_CERT_DATE_INVALID',
    sentence: 'the certificate served is valid from 2026-06-20 00:00Z on only',
    cause: /clock of this machine is late/,
  })
  t.match(problemOf(handshake, { expectation: expected }), {
    kind: 'other-certificate',
    browser: 'ERR_CERT_DATE_INVALID',
  })
})

t.test('names', async (t) => {
  const problem = problemOf(presented(leaf, [intermediate]), { host: 'a.static.example.com', expectation: expected })
  t.match(problem, {
    kind: 'not-covered',
    browser: 'ERR_CERT_COMMON_NAME_INVALID',
    sentence: 'the certificate served is for static.example.com, *.example.com, not for a.static.example.com',
    cause: /\*\.example\.com stands for exactly one label/,
  })
  t.match(problemOf(presented(leaf, [intermediate]), { host: 'example.com' }), {
    cause: /\*\.example\.com does not cover example\.com itself/,
  })
  // Another one, private and expired besides: that it is for another host says the most.
  const strange = await mintLeaf({ names: ['a', 'b', 'c', 'd', 'e'].map((one) => `${one}.example.net`), ...spring })
  t.match(problemOf(presented(strange, [], leafOnly), { expectation: expected }), {
    kind: 'not-covered',
    sentence: /for a\.example\.net, b\.example\.net, c\.example\.net and 2 more, not for static/,
    cause: /no certificate is hosted for static\.example\.com where it leads/,
  })
  const nameless = await mintLeaf({ issuer: intermediate, names: [host], san: false, ...spring })
  t.match(problemOf(presented(nameless, [intermediate])), { sentence: /for no name at all/ }, 'browsers read no CN')
})

t.test('another certificate', async (t) => {
  const handshake = presented(before, [intermediate])
  const kind = 'other-certificate'
  const sentence = `another certificate is served: ${sha256(before).slice(0, 8)}, valid until 2026-07-30 00:00Z, instead of ${sha256(leaf).slice(0, 8)}`
  t.match(problemOf(handshake, { expectation: expected }), { kind, sentence, cause: /from before is still served/ })
  t.equal(problemOf(handshake, { expectation: expected }).browser, undefined, 'a browser is content with it')
  const ofPrivateCa = presented(before, [intermediate], unknownRoot)
  t.equal(problemOf(ofPrivateCa, { expectation: expected }).browser, 'ERR_CERT_AUTHORITY_INVALID')
})

t.test('hosted on OSS while DNS leads to CDN, and the other way round', async (t) => {
  const strange = presented(await mintLeaf({ names: ['a.example.net'], ...spring }), [], leafOnly)
  const old = presented(before, [intermediate])
  const none: Handshake = { kind: 'refused', code: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE' }
  const on = (hostedOn: 'oss' | 'cdn' | undefined, leadsTo: LeadsTo): Rest => ({
    leadsTo,
    expectation: { ...expected, hostedOn },
  })
  for (const handshake of [strange, old, none]) {
    t.match(problemOf(handshake, on('oss', 'cdn')), {
      cause: 'DNS of static.example.com leads to CDN, so what is hosted on OSS is not seen there',
      hint: /^add --cdn-domain static\.example\.com/,
    })
    t.match(problemOf(handshake, on('cdn', 'oss')), {
      cause: 'DNS of static.example.com leads to OSS, so what is hosted on CDN is not seen there',
      hint: /^add --oss-cname static\.example\.com/,
    })
    t.match(problemOf(handshake, on('cdn', 'cdn')), {
      cause: /CDN does not serve .* yet/,
      hint: /--verify-timeout 600/,
    })
    t.match(problemOf(handshake, on('oss', 'oss')), { cause: /OSS does not serve .* yet/, hint: /3600/ })
    t.match(problemOf(handshake, on(undefined, 'cdn')), { cause: /CDN .*OSS/, hint: /--cdn-domain/ })
    t.match(problemOf(handshake, on(undefined, 'oss')), { cause: /OSS .*CDN/, hint: /--oss-cname/ })
    for (const hostedOn of ['oss', 'cdn', undefined] as const) {
      t.match(problemOf(handshake, on(hostedOn, 'stopped')), { cause: /the domain is stopped/ })
      t.match(problemOf(handshake, on(hostedOn, 'protection')), { cause: /WAF or Anti-DDoS/ })
    }
  }
})

t.test('a certificate for names of OSS or CDN tells who answers', async (t) => {
  const ofOss = await mintLeaf({ names: ['*.oss-cn-hangzhou.aliyuncs.com'], ...spring })
  const ofCdn = await mintLeaf({ names: ['*.w.kunlunsl.com', '*.kunlunsl.com'], ...spring })
  t.match(problemOf(presented(ofOss, [], true)), { kind: 'not-covered', cause: /^OSS answers for static/ })
  t.match(problemOf(presented(ofCdn, [], true)), { kind: 'not-covered', cause: /^CDN answers for static/ })
})

t.test('the chain', async (t) => {
  t.match(problemOf(presented(leaf, [], leafOnly)), {
    kind: 'chain-incomplete',
    browser: 'ERR_CERT_AUTHORITY_INVALID',
    sentence: 'the chain served is incomplete: the certificate of CN=Intermediate is not sent',
    hint: /fullchain\.pem/,
  })
  t.match(problemOf(presented(leaf, [], leafOnly), { expectation: { sha256: sha256(leaf) } }), {
    kind: 'chain-incomplete',
  })
  t.match(problemOf(presented(leaf, [above], leafOnly)), { kind: 'chain-incomplete' }, 'another is as good as none')
  const plain = await mintLeaf({ issuer: intermediate, names: [host], ...spring })
  t.match(problemOf(presented(plain, [], leafOnly)), { kind: 'untrusted' }, 'a private root may have signed it itself')
  const alone = { sha256: sha256(plain) }
  t.match(judged(presented(plain, [], leafOnly), { expectation: alone }), { served: true, warning: /not known/ })
  t.match(problemOf(presented(plain, [], leafOnly), { expectation: { ...alone, chain: [sha256(intermediate)] } }), {
    kind: 'chain-incomplete',
  })
  t.match(
    problemOf(presented(leaf, []), { expectation: expected }),
    { kind: 'chain-incomplete' },
    'trusted here only because this machine knows the intermediate',
  )
  const longer = { ...expected, chain: [sha256(intermediate), sha256(crossed)] }
  t.match(judged(presented(leaf, [intermediate, crossed]), { expectation: longer }), { warning: undefined })
  t.match(judged(presented(leaf, [intermediate]), { expectation: longer }), {
    served: true,
    warning: /lead to a trusted root/,
  })
  t.match(problemOf(presented(leaf, [intermediate], unknownRoot), { expectation: longer }), {
    kind: 'chain-incomplete',
    sentence: /intermediates that belong to it are not sent/,
  })
})

t.test('no handshake', async (t) => {
  for (const [handshake, kind, browser, sentence] of [
    [
      { kind: 'refused', code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' },
      'refused',
      'ERR_SSL_UNRECOGNIZED_NAME_ALERT',
      /\(unrecognized name\)/,
    ],
    [
      { kind: 'refused', code: 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE' },
      'refused',
      'ERR_SSL_VERSION_OR_CIPHER_MISMATCH',
      /\(handshake failure\)/,
    ],
    [
      { kind: 'refused', code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' },
      'refused',
      'ERR_SSL_VERSION_OR_CIPHER_MISMATCH',
      /\(protocol version\)/,
    ],
    [
      { kind: 'refused', code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' },
      'refused',
      'ERR_SSL_PROTOCOL_ERROR',
      /\(internal error\)/,
    ],
    [{ kind: 'refused', code: 'ERR_SSL_WRONG_VERSION_NUMBER' }, 'refused', 'ERR_SSL_PROTOCOL_ERROR', /not in TLS/],
    [{ kind: 'refused', code: 'ECONNRESET' }, 'refused', 'ERR_CONNECTION_RESET', /broken off/],
    [{ kind: 'refused', code: 'CERTIFICATE_UNREADABLE' }, 'refused', 'ERR_CERT_INVALID', /cannot be read/],
    [{ kind: 'unreachable', code: 'ECONNREFUSED' }, 'unreachable', 'ERR_CONNECTION_REFUSED', /refused/],
    [{ kind: 'unreachable', code: 'ETIMEDOUT' }, 'unreachable', 'ERR_CONNECTION_TIMED_OUT', /ETIMEDOUT/],
    [{ kind: 'unreachable', code: 'ENETUNREACH' }, 'unreachable', 'ERR_ADDRESS_UNREACHABLE', /ENETUNREACH/],
    [{ kind: 'unreachable', code: 'EPERM' }, 'unreachable', 'ERR_CONNECTION_FAILED', /EPERM/],
    [{ kind: 'timeout', connected: false }, 'timeout', 'ERR_CONNECTION_TIMED_OUT', /no answer in time/],
    [{ kind: 'timeout', connected: true }, 'timeout', 'ERR_CONNECTION_TIMED_OUT', /no TLS handshake in time/],
  ] as const) {
    t.match(problemOf(handshake), { kind, browser, sentence, cause: /./, hint: /./ }, JSON.stringify(handshake))
  }
  const silent = { kind: 'timeout', connected: false } as const
  t.match(problemOf(silent, { leadsTo: 'stopped' }), { cause: /stopped/ })
})

t.test('what is expected of a bundle', async (t) => {
  const bundleOf = ({ key }: Minted, all: readonly Minted[]) => {
    const privateKey = new Secret(keyPem(key, 'pkcs8'))
    return normalize({ certificates: all.map(({ pem }) => pem).join(''), privateKey }, now).bundle
  }
  t.same(expectationOf(bundleOf(leaf, [root, leaf, intermediate]), 'cdn'), { ...expected, hostedOn: 'cdn' })
  t.same(expectationOf(bundleOf(before, [before])), { sha256: sha256(before), chain: [], hostedOn: undefined })
})
