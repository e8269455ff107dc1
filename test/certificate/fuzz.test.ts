// Damages PEM input at random, and looks at what normalize() makes of it with the eyes of node:crypto alone.
// FUZZ_SEED repeats the damage of an earlier run, FUZZ_CASES asks for more of it.
import { randomInt } from 'node:crypto'
import t from 'tap'
import { fullchain } from '../../src/certificate/bundle.js'
import { decodeText } from '../../src/certificate/container.js'
import { normalize } from '../../src/certificate/normalize.js'
import { CertError, isInputError } from '../../src/errors.js'
import { Secret } from '../../src/secret.js'
import { crossSign, generateKey, keyPem, mintAuthority, mintLeaf, pemOf, rsaKey } from '../mint.js'
import { blocksOf, fileOf, leaksOf, objections, opensslBytes, unprintableIn } from './judge.js'

const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 32))
const cases = Number(process.env['FUZZ_CASES'] ?? 4000)
/** Far more than any case may take; it is there for what does not come to an end in our lifetime. */
const hang = 10_000
const now = new Date()
t.setTimeout(60_000 + cases * 10)

/** Mulberry32: small, and good enough to do damage with. */
const generator = (start: number): (() => number) => {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Dice {
  /** 0 to `count` - 1. */
  below(count: number): number
  pick<T>(items: readonly T[]): T
}

const dice = (start: number): Dice => {
  const random = generator(start)
  const below = (count: number): number => Math.floor(random() * count)
  return {
    below,
    pick: (items) => {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError('nothing to pick from')
      return item
    },
  }
}

/** The two texts of a material, and the damage that is done to one of them. */
type Texts = readonly [certificates: string, key: string]
type Damage = (text: string, dice: Dice, other: string) => string

const span = (text: string, { below }: Dice, most: number): [number, number] => {
  const from = below(text.length + 1)
  return [from, Math.min(text.length, from + below(most))]
}

const spliced = (text: string, from: number, to: number, piece: string): string =>
  text.slice(0, from) + piece + text.slice(to)

/** One of the blocks put in another form; the text as it is where there is none. */
const withBlock = (text: string, { pick }: Dice, change: (block: string) => string): string => {
  const blocks = blocksOf(text)
  if (blocks.length === 0) return text
  const block = pick(blocks)
  const at = text.indexOf(block)
  return spliced(text, at, at + block.length, change(block))
}

const derOf = (block: string): Buffer => Buffer.from(block.replace(/-----[^-]*-----|\s/g, ''), 'base64')
const labelOf = (block: string): string => /-----BEGIN ([^-]*)-----/.exec(block)?.[1] ?? ''

const withDer = (text: string, dice: Dice, change: (der: Buffer) => Buffer): string =>
  withBlock(text, dice, (block) => pemOf(labelOf(block), change(derOf(block))))

const labels = [
  ...['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE', 'PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY'],
  ...['ENCRYPTED PRIVATE KEY', 'OPENSSH PRIVATE KEY', 'DSA PRIVATE KEY', 'PKCS7', 'CMS', 'PUBLIC KEY', 'EC PARAMETERS'],
]
const rubbish = [
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  '\n\n',
  '\ufeff',
  '\0',
  '=',
  '-',
  '-----',
  ':',
  'ÿ',
  '\u2028',
  '\ud800',
  'A',
]
const phrases = [
  ...['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', '-----BEGIN PRIVATE KEY-----', 'Bag Attributes\n'],
  ...[
    'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n',
    'Comment: a\n\n',
    '-----BEGIN ',
    '-----END PRIVATE KEY-----',
  ],
]

const damages: Record<string, Damage> = {
  'a bit of a character': (text, { below }) => {
    const at = below(text.length)
    return spliced(text, at, at + 1, String.fromCharCode(text.charCodeAt(at) ^ (1 << below(8))))
  },
  'a character of base64': (text, dice) =>
    withBlock(text, dice, (block) => {
      const begin = block.indexOf('-----\n') + 6
      const at = begin + dice.below(Math.max(1, block.lastIndexOf('\n-----') - begin))
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
      return spliced(block, at, at + 1, alphabet[dice.below(64)] ?? '')
    }),
  'a piece left out': (text, dice) => spliced(text, ...span(text, dice, dice.pick([2, 70, 2000])), ''),
  'a piece twice': (text, dice) => {
    const [from, to] = span(text, dice, dice.pick([2, 70, 2000]))
    return spliced(text, to, to, text.slice(from, to))
  },
  'a piece somewhere else': (text, dice) => {
    const [from, to] = span(text, dice, 500)
    const [at] = span(text, dice, 1)
    return spliced(text, at, at, text.slice(from, to))
  },
  'cut off': (text, dice) => text.slice(...(dice.below(2) === 0 ? [0, dice.below(text.length)] : [dice.below(200)])),
  rubbish: (text, dice) => {
    const [at] = span(text, dice, 1)
    return spliced(text, at, at, dice.pick(rubbish).repeat(1 + dice.below(4)))
  },
  'a phrase': (text, dice) => {
    const [at] = span(text, dice, 1)
    return spliced(text, at, at, dice.pick(phrases))
  },
  'two blocks change places': (text, dice) => {
    const blocks = blocksOf(text)
    if (blocks.length < 2) return text
    const [one, two] = [dice.pick(blocks), dice.pick(blocks)]
    return text.replaceAll(one, '\0').replaceAll(two, one).replaceAll('\0', two)
  },
  'a block is gone': (text, dice) => withBlock(text, dice, () => ''),
  'a block twice': (text, dice) => withBlock(text, dice, (block) => block + block),
  'a block of another certificate': (text, dice, other) => {
    const foreign = blocksOf(other)
    return foreign.length === 0 ? text : withBlock(text, dice, (block) => dice.pick([block, '']) + dice.pick(foreign))
  },
  'the rest of another certificate': (text, dice, other) =>
    text.slice(0, dice.below(text.length)) + other.slice(dice.below(other.length)),
  'a damaged marker': (text, dice) => {
    const markers = [...text.matchAll(/-----[A-Z0-9 ]+-----/g)]
    if (markers.length === 0) return text
    const marker = dice.pick(markers)
    const at = marker.index + dice.below(marker[0].length)
    return spliced(text, at, at + 1, dice.pick(['', '-', ' ', 'X', '\n', 'e', '--']))
  },
  'another label': (text, dice) =>
    withBlock(text, dice, (block) => block.replaceAll(labelOf(block), dice.pick(labels)) || block),
  'other line ends': (text, dice) =>
    text.replaceAll('\n', dice.pick(['\r\n', '\r', '', '\n\n', ' \n', '\n ', '\u0085'])),
  'UTF-16 with a damaged byte': (text, { below }) => {
    const bytes = Buffer.from(`\ufeff${text}`, 'utf16le')
    bytes[below(bytes.length)] = below(256)
    return decodeText(below(2) === 0 ? bytes : bytes.swap16())
  },
  'a bit of DER': (text, dice) =>
    withDer(text, dice, (der) => {
      if (der.length === 0) return der
      const at = dice.below(der.length)
      der[at] = (der[at] ?? 0) ^ (1 << dice.below(8))
      return der
    }),
  'a byte of the first DER': (text, dice) =>
    withDer(text, dice, (der) => {
      if (der.length > 0) der[dice.below(Math.min(40, der.length))] = dice.pick([0, 1, 2, 0x30, 0x7f, 0x80, 0x84, 0xff])
      return der
    }),
  'DER too short or too long': (text, dice) =>
    withDer(text, dice, (der) =>
      dice.pick([der.subarray(0, dice.below(der.length + 1)), Buffer.concat([der, Buffer.alloc(1)])]),
    ),
  'DER of two certificates': (text, dice, other) => {
    const foreign = blocksOf(other)
    if (foreign.length === 0) return text
    const theirs = derOf(dice.pick(foreign))
    return withDer(text, dice, (der) => {
      const at = dice.below(der.length + 1)
      return dice.pick([
        Buffer.concat([der.subarray(0, at), theirs.subarray(at)]),
        Buffer.concat([der, theirs]),
        theirs,
      ])
    })
  },
  'nothing at all': (text) => text,
}

const materials = async (): Promise<Texts[]> => {
  const root = await mintAuthority({ name: 'Root' })
  const upper = await mintAuthority({ name: 'Upper', issuer: root })
  const lower = await mintAuthority({ name: 'Lower', issuer: upper })
  const one = await mintLeaf({ names: ['www.one.test', '*.one.test', '192.0.2.1'], issuer: lower })
  const renewed = await mintLeaf({ names: ['www.one.test'], issuer: lower, key: one.key })
  const twin = await mintLeaf({ names: ['www.twin.test'], issuer: lower })

  const rsaRoot = await mintAuthority({ name: 'RsaRoot', key: rsaKey('root') })
  const rsaLower = await mintAuthority({ name: 'RsaLower', key: rsaKey('lower'), issuer: rsaRoot })
  const rsa = await mintLeaf({ names: ['rsa.test'], key: rsaKey('leaf'), issuer: rsaLower })

  const otherRoot = await mintAuthority({ name: 'OtherRoot', key: 'ed25519' })
  const lowerByOther = await crossSign(lower, otherRoot)
  const otherByRoot = await crossSign(otherRoot, root)
  const edwards = await mintLeaf({ names: ['ed.test', '2001:db8::1'], key: 'ed25519', issuer: otherRoot })
  const large = await mintLeaf({ names: ['xn--bcher-kva.test'], key: generateKey('ec384'), issuer: lower })
  const alone = await mintLeaf({ names: ['alone.test'], key: 'ec521' })

  const sec1 = (minted: typeof large): string => keyPem(minted.key, 'sec1-with-params')
  const crossed = `${large.pem}\n# crossed\n${lower.pem}${lowerByOther.pem}${otherByRoot.pem}${otherRoot.pem}`
  const [oneFile, oneKey] = [fileOf(one.pem), fileOf(keyPem(one.key, 'pkcs8'))]
  const p12 = opensslBytes('pkcs12', '-export', '-in', oneFile, '-inkey', oneKey, '-passout', 'pass:a')
  return [
    [one.pem + lower.pem + upper.pem + root.pem, keyPem(one.key, 'pkcs8')],
    [`Bag Attributes\n${lower.pem}\nsubject=a\n${one.pem}`, keyPem(one.key, 'sec1')],
    [twin.pem + lower.pem, keyPem(twin.key, 'pkcs8')],
    [rsa.pem + rsaLower.pem, keyPem(rsa.key, 'pkcs1')],
    [rsaRoot.pem + rsaLower.pem + rsa.pem, keyPem(rsa.key, 'pkcs8')].map((pem) => pem.replaceAll('\n', '\r\n')) as [
      string,
      string,
    ],
    [edwards.pem + otherByRoot.pem + root.pem, keyPem(edwards.key, 'pkcs8')],
    [crossed, sec1(large)],
    [crossed + sec1(large), crossed + sec1(large)],
    [alone.pem, keyPem(alone.key, 'pkcs8')],
    [renewed.pem + lower.pem, keyPem(one.key, 'pkcs8')],
    [one.pem + lower.pem, keyPem(one.key, 'pkcs8-encrypted')],
    [one.der.toString('latin1'), p12.toString('latin1')],
  ]
}

/** What is wrong with what normalize() did. */
const look = ([certificates, key]: Texts, originals: readonly string[]): { outcome: string; faults: string[] } => {
  try {
    const { bundle, warnings } = normalize({ certificates, privateKey: new Secret(key) }, now)
    const faults = objections(bundle)
    if (warnings.some((warning) => unprintableIn(warning).length > 0)) faults.push('a warning of several lines')
    const again = normalize({ name: bundle.name, certificates: fullchain(bundle), privateKey: bundle.privateKey }, now)
    const same = (field: 'leaf' | 'chain'): boolean => again.bundle[field] === bundle[field]
    if (!same('leaf') || !same('chain') || again.bundle.privateKey.reveal() !== bundle.privateKey.reveal()) {
      faults.push('it changes when it is normalized once more')
    }
    return { outcome: 'accepted', faults }
  } catch (error) {
    if (!(error instanceof CertError)) return { outcome: 'thrown', faults: [`it threw ${error}`] }
    const faults = [key, ...originals]
      .flatMap((text) => leaksOf(error, text))
      .map(() => 'a line of the key is in the error')
    if (!isInputError(error)) faults.push(`${error.code} is no input code`)
    const said = unprintableIn(error.message + error.hint)
    if (error.hint === undefined || said.length > 0) faults.push(`not to be shown to anybody: ${said.join(' ')}`)
    return { outcome: error.code, faults }
  }
}

t.test('whatever is done to its input: refused with a reason, or a bundle that holds', async (t) => {
  const sets = await materials()
  const keys = sets.map(([, key]) => key)
  t.comment(`FUZZ_SEED=${seed} FUZZ_CASES=${cases}`)
  const outcomes: Record<string, number> = {}
  let slowest = 0
  let failures = 0
  for (let number = 0; number < cases && failures < 5; number++) {
    const throwOf = dice(seed + number)
    const names = Object.keys(damages)
    let texts: Texts = throwOf.pick(sets)
    const done: string[] = []
    for (let count = throwOf.pick([1, 1, 1, 2, 3, 5]); count > 0; count--) {
      const name = throwOf.pick(names)
      const [certificates, key] = texts
      const other = throwOf.pick(throwOf.pick(sets))
      const damage = (text: string): string => (text === '' ? text : (damages[name]?.(text, throwOf, other) ?? text))
      texts = throwOf.below(3) === 0 ? [certificates, damage(key)] : [damage(certificates), key]
      done.push(name)
    }
    const begun = performance.now()
    const { outcome, faults } = look(texts, keys)
    const took = performance.now() - begun
    slowest = Math.max(slowest, took)
    if (took > hang) faults.push(`it took ${Math.round(took)} ms`)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    if (faults.length === 0) continue
    failures++
    t.fail(`case ${number} of FUZZ_SEED=${seed}: ${faults[0]}`, { faults, done, certificates: texts[0], key: texts[1] })
  }
  const seen = Object.entries(outcomes).sort(([, a], [, b]) => b - a)
  t.comment(`slowest: ${Math.round(slowest)} ms; ${seen.map(([outcome, count]) => `${outcome} ${count}`).join(', ')}`)
  if (cases < 1000 || failures > 0) return
  t.ok((outcomes['accepted'] ?? 0) > cases / 20, 'the damage is light enough for some to be accepted')
  t.ok(seen.length > 10, 'and heavy enough for most kinds of refusal')
})
