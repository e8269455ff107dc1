import t from 'tap'
import { orderChain } from '../../src/certificate/chain.js'
import { type Certificate, readCertificate } from '../../src/certificate/x509.js'
import { type Authority, crossSign, generateKey, type Minted, mintAuthority, mintLeaf, rsaKey } from '../mint.js'
import { fileOf, openssl, refused } from './judge.js'

/** Certificates by the names that the tests below call them. */
type Cast = Readonly<Record<string, Pick<Minted, 'der'>>>

/** Orders the cast: `order('leaf', 'root middle')` gives `middle (root given)`. */
const rehearse = (cast: Cast) => {
  const read = new Map(Object.entries(cast).map(([name, { der }]) => [name, readCertificate(der, name)]))
  const named = (certificates: readonly Certificate[]): string =>
    certificates.map((one) => [...read].find(([, other]) => other === one)?.[0]).join(' ')
  const find = (name: string): Certificate => {
    const one = read.get(name)
    if (one === undefined) throw new TypeError(`nobody in the cast is called ${name}`)
    return one
  }
  return (leaf: string, others: string): string => {
    const { intermediates, leftOut, rootGiven } = orderChain(find(leaf), others.split(' ').filter(Boolean).map(find))
    return [
      named(intermediates) || 'nothing',
      ...(leftOut.length > 0 ? [`without ${named(leftOut)}`] : []),
      ...(rootGiven ? ['(root given)'] : []),
    ].join(' ')
  }
}

const permutations = <T>(items: readonly T[]): T[][] =>
  items.length === 0
    ? [[]]
    : items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]))

/** With the last bit of its signature turned round, which stands at its end. */
const withBrokenSignature = ({ der }: Minted): { der: Buffer } => {
  const copy = Buffer.from(der)
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1
  return { der: copy }
}

const asIssuer = (minted: Minted, name: string): Authority => ({ ...minted, name })

t.test('a straight chain, in any order', async (t) => {
  const root = await mintAuthority({ name: 'Root' })
  const upper = await mintAuthority({ name: 'Upper', issuer: root })
  const lower = await mintAuthority({ name: 'Lower', issuer: upper })
  const leaf = await mintLeaf({ names: ['a.test'], issuer: lower })
  const ofRoot = await mintLeaf({ names: ['b.test'], issuer: root })
  const self = await mintLeaf({ names: ['c.test'] })
  const order = rehearse({ root, upper, lower, leaf, ofRoot, self })
  for (const others of permutations(['root', 'upper', 'lower'])) {
    t.equal(order('leaf', others.join(' ')), 'lower upper (root given)', others.join(' '))
  }
  for (const others of permutations(['upper', 'lower'])) t.equal(order('leaf', others.join(' ')), 'lower upper')
  t.equal(order('leaf', 'lower'), 'lower', 'as far as it goes')
  t.equal(order('leaf', ''), 'nothing')
  t.equal(order('ofRoot', ''), 'nothing')
  t.equal(order('ofRoot', 'root'), 'nothing (root given)')
  t.equal(order('self', ''), 'nothing')

  for (const others of ['upper', 'root', 'upper root', 'root upper']) {
    refused(t, 'CHAIN_BROKEN', () => order('leaf', others), `${others} without lower`, /missing.*CN=Lower/)
  }
  refused(t, 'CHAIN_BROKEN', () => order('leaf', 'lower root'), 'a hole further up', /missing/)
  refused(t, 'CHAIN_BROKEN', () => order('self', 'root'), 'nothing above what signed itself')
})

t.test('every kind of key signs every other', async (t) => {
  const kinds = ['rsa2048', 'ec256', 'ec384', 'ec521', 'ed25519'] as const
  const keys = kinds.map((kind) => (kind === 'rsa2048' ? rsaKey('chain') : generateKey(kind)))
  for (const [i, kind] of kinds.entries()) {
    const root = await mintAuthority({ name: 'Root', key: keys[(i + 1) % kinds.length] as (typeof keys)[0] })
    const middle = await mintAuthority({ name: 'Middle', key: keys[i] as (typeof keys)[0], issuer: root })
    const leaf = await mintLeaf({ names: ['a.test'], issuer: middle })
    t.equal(rehearse({ root, middle, leaf })('leaf', 'root middle'), 'middle (root given)', kind)
  }
})

t.test('two roots and what they signed for each other: the order that the CA gave stands', async (t) => {
  const [old, young] = [await mintAuthority({ name: 'Old' }), await mintAuthority({ name: 'Young' })]
  const youngByOld = await crossSign(young, old)
  const middle = await mintAuthority({ name: 'Middle', issuer: young })
  const middleByOld = await crossSign(middle, old)
  const leaf = await mintLeaf({ names: ['a.test'], issuer: middle })
  const order = rehearse({ old, young, youngByOld, middle, middleByOld, leaf })
  const cases: Record<string, string> = {
    middle: 'middle',
    'middle young': 'middle (root given)',
    'middle youngByOld': 'middle youngByOld',
    'middle youngByOld old': 'middle youngByOld (root given)',
    'middle young youngByOld': 'middle youngByOld',
    middleByOld: 'middleByOld',
    'middleByOld old': 'middleByOld (root given)',
    // Out of order: put right.
    'youngByOld middle': 'middle youngByOld',
    'old youngByOld young middle': 'middle youngByOld (root given)',
    // Two versions of the intermediate, of which a chain has place for one: the first, unless the other leads further.
    'middle middleByOld': 'middle without middleByOld',
    'middleByOld middle': 'middleByOld without middle',
    'middleByOld middle youngByOld': 'middle youngByOld without middleByOld',
    'middleByOld youngByOld middle': 'middle youngByOld without middleByOld',
    'youngByOld middleByOld middle': 'middle youngByOld without middleByOld',
    'middle middleByOld youngByOld': 'middle youngByOld without middleByOld',
  }
  for (const [given, expected] of Object.entries(cases)) t.equal(order('leaf', given), expected, given)
})

t.test('a fork further up', async (t) => {
  const [one, two, three] = [
    await mintAuthority({ name: 'One' }),
    await mintAuthority({ name: 'Two' }),
    await mintAuthority({ name: 'Three' }),
  ]
  const upper = await mintAuthority({ name: 'Upper', issuer: one })
  const upperByTwo = await crossSign(upper, two)
  const twoByThree = await crossSign(two, three)
  const lower = await mintAuthority({ name: 'Lower', issuer: upper })
  const leaf = await mintLeaf({ names: ['a.test'], issuer: lower })
  const order = rehearse({ one, two, three, upper, upperByTwo, twoByThree, lower, leaf })
  t.equal(order('leaf', 'lower upper upperByTwo'), 'lower upper without upperByTwo')
  t.equal(order('leaf', 'lower upperByTwo upper'), 'lower upperByTwo without upper')
  t.equal(order('leaf', 'lower upper upperByTwo twoByThree'), 'lower upperByTwo twoByThree without upper')
  t.equal(order('leaf', 'lower upperByTwo twoByThree two three'), 'lower upperByTwo twoByThree (root given)')
})

t.test('authorities that signed each other in a ring', async (t) => {
  const [a, b, c] = [
    await mintAuthority({ name: 'A' }),
    await mintAuthority({ name: 'B' }),
    await mintAuthority({ name: 'C' }),
  ]
  const cast = {
    ...{ a, b, c },
    ...{ aByB: await crossSign(a, b), bByA: await crossSign(b, a) },
    ...{ bByC: await crossSign(b, c), cByA: await crossSign(c, a) },
    leaf: await mintLeaf({ names: ['a.test'], issuer: a }),
  }
  const order = rehearse(cast)
  t.equal(order('leaf', 'aByB bByA'), 'aByB bByA')
  t.equal(order('leaf', 'bByA aByB'), 'aByB bByA')
  t.equal(order('leaf', 'aByB bByA a b'), 'aByB bByA (root given)')
  for (const others of permutations(['aByB', 'bByC', 'cByA'])) {
    t.equal(order('leaf', others.join(' ')), 'aByB bByC cByA', others.join(' '))
  }
  for (const others of permutations(['aByB', 'bByC', 'cByA', 'bByA', 'a'])) {
    t.match(order('leaf', others.join(' ')), /^aByB bBy[AC]/, others.join(' '))
  }
})

t.test('the right name is not enough', async (t) => {
  const root = await mintAuthority({ name: 'Root' })
  const middle = await mintAuthority({ name: 'Middle', issuer: root })
  const leaf = await mintLeaf({ names: ['a.test'], issuer: middle })
  const cast = {
    ...{ root, middle, leaf },
    decoy: await mintAuthority({ name: 'Middle', issuer: root }),
    ofOtherKind: await mintAuthority({ name: 'Middle', issuer: root, key: rsaKey('decoy') }),
    ofEdwards: await mintAuthority({ name: 'Middle', issuer: root, key: 'ed25519' }),
    selfMade: await mintAuthority({ name: 'Middle' }),
    otherRoot: await mintAuthority({ name: 'Root' }),
    brokenLeaf: withBrokenSignature(leaf),
    brokenMiddle: withBrokenSignature(middle),
    // The right key under another name.
    renamed: await mintAuthority({ name: 'Muddle', issuer: root, key: middle.key }),
  }
  const order = rehearse(cast)
  t.equal(order('leaf', 'middle root'), 'middle (root given)')
  for (const wrong of ['decoy', 'ofOtherKind', 'ofEdwards', 'selfMade', 'otherRoot', 'renamed']) {
    refused(t, 'CHAIN_BROKEN', () => order('leaf', wrong), wrong)
    refused(t, 'CHAIN_BROKEN', () => order('leaf', `middle ${wrong} root`), `${wrong} beside the right one`)
    refused(t, 'CHAIN_BROKEN', () => order('leaf', `${wrong} middle`), `${wrong} before the right one`)
  }
  refused(t, 'CHAIN_BROKEN', () => order('brokenLeaf', 'middle'), 'the name matches, the signature does not')
  refused(t, 'CHAIN_BROKEN', () => order('brokenLeaf', 'middle root'), 'the same with a root')
  refused(t, 'CHAIN_BROKEN', () => order('leaf', 'brokenMiddle root'), 'the same further up')
})

t.test('who is no authority issues nothing', async (t) => {
  const root = await mintAuthority({ name: 'Root' })
  const server = await mintLeaf({ names: ['server.test'], issuer: root })
  const leaf = await mintLeaf({ names: ['a.test'], issuer: asIssuer(server, 'server.test') })
  const nameless = await mintLeaf({ names: ['b.test'], commonName: false, serial: '4711' })
  const order = rehearse({ root, server, leaf, nameless })
  refused(
    t,
    'CHAIN_BROKEN',
    () => order('leaf', 'server'),
    'a server certificate as issuer',
    /another server certificate/,
  )
  refused(t, 'CHAIN_BROKEN', () => order('leaf', 'root server'), 'with its own root')
  const { message } = refused(t, 'CHAIN_BROKEN', () => order('server', 'root nameless'), 'one without a subject')
  t.match(message, /serial 4711 .*CN=server\.test/)
  t.match(refused(t, 'CHAIN_BROKEN', () => order('nameless', 'root'), 'above one').message, /CN=Root .*the leaf/)
})

t.test('too many to be a chain', async (t) => {
  const root = await mintAuthority({ name: 'Root' })
  const path = [root]
  for (let i = 1; i <= 33; i++) path.push(await mintAuthority({ name: `CA ${i}`, issuer: path[i - 1] as Authority }))
  const read = path.slice(1).map(({ der }, i) => readCertificate(der, `${i}`))
  const leafBelow = async (depth: number): Promise<Certificate> =>
    readCertificate((await mintLeaf({ names: ['a.test'], issuer: path[depth] as Authority })).der, 'leaf')
  t.same(orderChain(await leafBelow(32), read.slice(0, 32)).intermediates, read.slice(0, 32).reverse())
  const deepest = await leafBelow(33)
  refused(t, 'CHAIN_BROKEN', () => orderChain(deepest, read), '33', /trust store/)
  const strangers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => mintAuthority({ name: `Stranger ${i}`, key: root.key })),
  )
  const foreign = strangers.map(({ der }) => readCertificate(der, 'stranger'))
  const error = refused(t, 'CHAIN_BROKEN', () => orderChain(deepest, foreign), '100 strangers', /trust store/)
  t.match(error.message, /^100 /)
  refused(t, 'CHAIN_BROKEN', () => orderChain(deepest, foreign.slice(0, 20)), '20 strangers', /CN=CA 33/)
})

t.test('the same name and key 32 times over comes to an end', async (t) => {
  const root = await mintAuthority({ name: 'Root' })
  const versions: Certificate[] = []
  const self = await mintAuthority({ name: 'Twin' })
  const byRoot = await crossSign(self, root)
  for (let i = 0; i < 31; i++) {
    const twin = i === 0 ? byRoot : await crossSign(self, root, { notAfter: new Date(Date.now() + i * 86_400_000) })
    versions.push(readCertificate(twin.der, `version ${i}`))
  }
  const leaf = readCertificate((await mintLeaf({ names: ['a.test'], issuer: self })).der, 'leaf')
  const { intermediates, leftOut } = orderChain(leaf, versions)
  t.same(intermediates, versions.slice(0, 1), 'the first')
  t.same(leftOut, versions.slice(1))
})

t.test('whatever was signed by whom, what comes out is a path', async (t) => {
  const authorities = await Promise.all(['A', 'B', 'C', 'D', 'E'].map((name) => mintAuthority({ name })))
  const certificates: Certificate[] = []
  for (const one of authorities) {
    for (const other of authorities) {
      const minted = one === other ? one : await crossSign(one, other)
      certificates.push(readCertificate(minted.der, `${one.name} by ${other.name}`))
    }
  }
  const leaf = readCertificate((await mintLeaf({ names: ['z.test'], issuer: authorities[0] as Authority })).der, 'leaf')
  // A small generator of its own, so that a failure comes again.
  let state = 20_260_530
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const isRoot = (one: Certificate): boolean => one.subject === one.issuer
  let ordered = 0
  for (let round = 0; round < 300; round++) {
    const pool = [...certificates]
    // Somebody who is directly above the leaf, at any place among up to seven others.
    const first = pool.splice(random(authorities.length), 1)
    const given = Array.from({ length: random(8) }, () => pool.splice(random(pool.length), 1)[0] as Certificate)
    given.splice(random(given.length + 1), 0, ...first)
    const label = given.map((one) => `${one.subject} by ${one.issuer}`).join(', ')
    let chain: ReturnType<typeof orderChain>
    try {
      chain = orderChain(leaf, given)
    } catch {
      // By names alone, which tell the truth here.
      const reached = new Set([leaf.issuer])
      for (let before = 0; before !== reached.size; ) {
        before = reached.size
        for (const one of given) if (reached.has(one.subject)) reached.add(one.issuer)
      }
      if (given.every((one) => reached.has(one.subject))) t.fail(`refused although connected: ${label}`)
      continue
    }
    ordered++
    const { intermediates, leftOut } = chain
    const path = [leaf, ...intermediates]
    const follows = intermediates.every((one, i) => one.subject === path[i]?.issuer)
    if (!follows || intermediates.some(isRoot)) t.fail(`not a path: ${label}`)
    const roots = given.filter(isRoot)
    const accounted = new Set([...intermediates, ...leftOut, ...roots])
    if (accounted.size !== given.length || intermediates.length + leftOut.length + roots.length !== given.length) {
      t.fail(`something is lost or doubled: ${label}`)
    }
    const rest = given.filter((one) => !isRoot(one))
    const wasPath = rest.every((one, i) => one.subject === (rest[i - 1] ?? leaf).issuer)
    if (wasPath && !rest.every((one, i) => one === intermediates[i])) t.fail(`a chain was reordered: ${label}`)
    const again = orderChain(leaf, intermediates)
    if (again.leftOut.length > 0 || !again.intermediates.every((one, i) => one === intermediates[i])) {
      t.fail(`ordering it again changes it: ${label}`)
    }
  }
  t.ok(ordered > 50 && ordered < 250, `${ordered} of 300 were connected`)
})

t.test('a root from before there were extensions (X.509 v1) is a root', async (t) => {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const [rootKey, leafKey] = [fileOf(''), fileOf('')]
  const rootRequest = fileOf(openssl('req', '-new', ...curve, '-keyout', rootKey, '-subj', '/CN=Root of 1996'))
  const root = openssl('x509', '-req', '-in', rootRequest, '-signkey', rootKey, '-days', '9')
  const leafRequest = fileOf(openssl('req', '-new', ...curve, '-keyout', leafKey, '-subj', '/CN=a.test'))
  const signer = ['-CA', fileOf(root), '-CAkey', rootKey, '-set_serial', '1']
  const leaf = openssl('x509', '-req', '-in', leafRequest, ...signer, '-extfile', fileOf('subjectAltName=DNS:a.test'))
  t.match(openssl('verify', '-CAfile', fileOf(root), fileOf(leaf)), /OK/, 'openssl takes it')
  const der = (pem: string): { der: Buffer } => ({ der: Buffer.from(pem.replace(/-----.*-----|\s/g, ''), 'base64') })
  t.equal(rehearse({ root: der(root), leaf: der(leaf) })('leaf', 'root'), 'nothing (root given)')
})

t.test('names are compared as RFC 5280 7.1 says, whatever their case and spaces', async (t) => {
  const root = await mintAuthority({ name: 'The  Root' })
  const middle = await mintAuthority({ name: 'Middle', issuer: asIssuer(root, 'the root') })
  const leaf = await mintLeaf({ names: ['a.test'], issuer: asIssuer(middle, 'MIDDLE') })
  const chain = ['-CAfile', fileOf(root.pem), '-untrusted', fileOf(middle.pem), fileOf(leaf.pem)]
  t.match(openssl('verify', ...chain), /OK/, 'openssl takes it')
  t.equal(rehearse({ root, middle, leaf })('leaf', 'middle root'), 'middle (root given)')
})
