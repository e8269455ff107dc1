// Whether a certificate leads to a root that is trusted, and whether two come from one CA.
import { X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import t from 'tap'
import { haveSameIssuer, type Trust, trustOf } from '../../src/certificate/trusted.js'
import { crossSign, mintAuthority, mintLeaf, pemOf } from '../mint.js'
import { fileOf, openssl } from './judge.js'

const names = ['example.com']
const longAgo = { notBefore: new Date('2001-01-01'), notAfter: new Date('2002-01-01') }
const root = await mintAuthority({ name: 'Public Root' })
const upper = await mintAuthority({ name: 'Upper', issuer: root })
const lower = await mintAuthority({ name: 'Lower', issuer: upper })
const twin = await mintAuthority({ name: 'Public Root' })
const staging = await mintAuthority({ name: '(STAGING) Root' })
const stagingLower = await mintAuthority({ name: '(STAGING) Lower', issuer: staging })
const retired = await mintAuthority({ name: 'Retired Root' })
const crossed = await crossSign(root, retired)
const expiredRoot = await mintAuthority({ name: 'Expired Root', ...longAgo })
const leaf = await mintLeaf({ names, issuer: lower })
const ofRoot = await mintLeaf({ names, issuer: root })
const ofTwin = await mintLeaf({ names, issuer: twin })
const ofStaging = await mintLeaf({ names, issuer: stagingLower })
const selfSigned = await mintLeaf({ names })
const nameless = await mintLeaf({ names, commonName: false })
const ofExpired = await mintLeaf({ names, issuer: expiredRoot })
const ofNobodys = await mintLeaf({ names, issuer: { name: 'example.com', ...selfSigned } })

const roots = [expiredRoot.pem, root.pem]

t.test('what leads to a root, and what does not', async (t) => {
  const cases: readonly (readonly [what: string, pem: string, trust: Trust, roots?: readonly string[]])[] = [
    ['a chain without its root', leaf.pem + lower.pem + upper.pem, 'trusted'],
    ['with it', leaf.pem + lower.pem + upper.pem + root.pem, 'trusted'],
    ['in another order', leaf.pem + upper.pem + lower.pem, 'trusted'],
    ['straight from the root', ofRoot.pem, 'trusted'],
    ['the root itself', root.pem, 'trusted'],
    ['from a root that has expired', ofExpired.pem, 'trusted'],
    ['sent with what another root says of this one', leaf.pem + lower.pem + upper.pem + crossed.pem, 'trusted'],
    ['known by that other root alone', leaf.pem + lower.pem + upper.pem + crossed.pem, 'trusted', [retired.pem]],
    ['of a CA for trials', ofStaging.pem + stagingLower.pem, 'untrusted'],
    ['of the same with its root', ofStaging.pem + stagingLower.pem + staging.pem, 'untrusted'],
    ['beside a chain that is not its own', ofStaging.pem + stagingLower.pem + lower.pem + upper.pem, 'untrusted'],
    ['of a root of the same name', ofTwin.pem + twin.pem, 'untrusted'],
    ['signed by itself', selfSigned.pem, 'untrusted'],
    ['without any name', nameless.pem, 'untrusted'],
    ['with an intermediate missing', leaf.pem + upper.pem, 'unknown'],
    ['alone', leaf.pem, 'unknown'],
    ['under what is no authority', ofNobodys.pem + selfSigned.pem, 'unknown'],
    ['no certificate', '', 'unknown'],
    ['what cannot be read', pemOf('CERTIFICATE', Buffer.from('no')), 'unknown'],
    ['one block of it cut off', leaf.pem + lower.pem.slice(0, 100), 'unknown'],
    ['roots that cannot be read', root.pem, 'untrusted', [pemOf('CERTIFICATE', Buffer.concat([root.der, root.der]))]],
    ['no roots', leaf.pem + lower.pem + upper.pem, 'untrusted', []],
  ]
  for (const [what, pem, trust, known = roots] of cases) t.equal(trustOf(pem, known), trust, what)
})

t.test('a root from before there were extensions (X.509 v1)', async (t) => {
  const key = fileOf(root.key.export({ type: 'pkcs8', format: 'pem' }).toString())
  const request = fileOf(openssl('req', '-new', '-key', key, '-subj', '/CN=Old'))
  const old = openssl('x509', '-req', '-in', request, '-signkey', key, '-days', '9')
  t.match(openssl('x509', '-in', fileOf(old), '-noout', '-text'), /Version: 1 /)
  t.equal(trustOf(old, [old]), 'trusted')
  t.equal(trustOf(old, roots), 'untrusted')
})

t.test('the roots that Node brings', async (t) => {
  const all = tls.rootCertificates
  t.ok(all.length > 50)
  for (const one of all.filter((_pem, i) => i % 20 === 0)) {
    t.equal(trustOf(one, all), 'trusted', new X509Certificate(one).subject)
  }
  t.equal(trustOf(leaf.pem + lower.pem + upper.pem, all), 'untrusted')
})

t.test('from one CA', async (t) => {
  const another = await mintLeaf({ names, issuer: lower })
  const lowerTwin = await mintAuthority({ name: 'Lower', issuer: staging })
  const ofLowerTwin = await mintLeaf({ names, issuer: lowerTwin })
  const cases: readonly (readonly [what: string, one: string, other: string, isSame: boolean])[] = [
    ['both with their intermediates', leaf.pem + lower.pem, another.pem + lower.pem + upper.pem, true],
    ['one of them with', leaf.pem, another.pem + lower.pem, true],
    ['none of them', leaf.pem, another.pem, true],
    ['another CA', leaf.pem + lower.pem, ofStaging.pem + stagingLower.pem, false],
    ['another CA of the same name', leaf.pem + lower.pem, ofLowerTwin.pem + lowerTwin.pem, false],
    ['another of the same name, and it is not known which', leaf.pem, ofLowerTwin.pem + lowerTwin.pem, false],
    ['nothing to compare', '', leaf.pem, false],
    ['nothing to compare with', leaf.pem, '', false],
  ]
  for (const [what, one, other, isSame] of cases) t.equal(haveSameIssuer(one, other), isSame, what)
})
