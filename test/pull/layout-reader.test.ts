// What readers of a layout go by, in this process: the manifest, and the proof that a set is whole.
import t from 'tap'
import { fullchain } from '../../src/certificate/bundle.js'
import { normalize } from '../../src/certificate/normalize.js'
import { CertError } from '../../src/errors.js'
import { Secret } from '../../src/secret.js'
import { layout } from '../../src/targets/layout.js'
import { readArchive, readLatest } from '../../src/targets/layout-reader.js'
import { bucketSource, type LayoutSource } from '../../src/targets/layout-source.js'
import { manifest as writeManifest } from '../../src/targets/manifest.js'
import { readManifest } from '../../src/targets/read-manifest.js'
import { daysFromNow, type Material, mintMaterial, pemFileNames, root } from '../deploy-world.js'

const signal = new AbortController().signal
const now = (): Date => new Date()

const bundleOf = (material: Material, certificates = material.fullchain) =>
  normalize({ certificates, privateKey: new Secret(material.key) }, now()).bundle

/** A bucket in memory, with both folders of a certificate in it. */
const stored = (material: Material, certificates?: string): Map<string, string> => {
  const { archive, latest } = layout(bundleOf(material, certificates), '')
  return new Map([...archive, ...latest].map(({ key, body }) => [key, body instanceof Secret ? body.reveal() : body]))
}

const sourceOf = (files: ReadonlyMap<string, string>, reads: string[] = []): LayoutSource =>
  bucketSource(
    {
      name: 'oss://memory',
      read: async (key) => {
        reads.push(key)
        const value = files.get(key)
        return value === undefined ? { status: 'absent' } : { status: 'found', value }
      },
    },
    '',
  )

const refusal = async (work: () => unknown): Promise<CertError> => {
  try {
    await work()
  } catch (error) {
    if (error instanceof CertError) return error
    throw error
  }
  throw new Error('it was not refused')
}

const material = await mintMaterial()
const other = await mintMaterial({ notBefore: daysFromNow(-2), notAfter: daysFromNow(80) })
const files = stored(material)
const readme = files.get('latest/README.md') ?? ''

t.test('what the manifest says is what was written', async (t) => {
  const found = readManifest(readme, 'README.md')
  const bundle = bundleOf(material)
  t.equal(found.archive, material.archive)
  t.same(found.names, material.names)
  t.same([found.notBefore, found.notAfter], [bundle.notBefore, bundle.notAfter])
  t.same(Object.keys(found.sums), pemFileNames)
  t.match(found.digest, /^[0-9a-f]{64}$/)
  const sums = new Map(Object.entries(found.sums))
  t.same(readManifest(writeManifest({ ...bundle, names: [] }, sums), 'README.md').names, [], 'without any names')
  const later = readManifest(readme.replace('names:', 'issuer: "somebody"\nlists:\n  - "a"\nnames:'), 'README.md')
  t.same([later.archive, later.sums], [found.archive, found.sums], 'keys of a later version are passed over')
})

t.test('a manifest that is none is refused', async (t) => {
  const archive = `archive: ${material.archive}`
  const cases: [string, (text: string) => string, RegExp][] = [
    ['another name of a file', (text) => text.replace('cert.pem:', 'cert.crt:'), /no sum of cert\.pem/],
    ['a short sum', (text) => text.replace(/(cert\.pem: ")./, '$1'), /sums that cannot be read/],
    ['a sum of other digits', (text) => text.replace(/(cert\.pem: ")./, '$1g'), /sums that cannot be read/],
    ['a file twice', (text) => text.replace(/( {2}cert\.pem: .*\n)/, '$1$1'), /sums that cannot be read/],
    ['a key twice', (text) => text.replace(archive, `${archive}\n${archive}`), /"archive" twice/],
    ['no archive', (text) => text.replace(`${archive}\n`, ''), /no "archive"/],
    ['a list for a value', (text) => text.replace(archive, 'archive:\n  - "a"'), /more than one value/],
    ['no head', (text) => text.slice(4), /does not open with/],
    ['a head without end', (text) => text.replace(/\n---\n/, '\n'), /does not open with/],
    ['other YAML', (text) => text.replace('names:', '# a remark\nnames:'), /a line at its head/],
    ['no date', (text) => text.replace(/notAfter: ".*"/, 'notAfter: "tomorrow"'), /no date in "notAfter"/],
    ['an impossible date', (text) => text.replace(/notAfter: "..../, 'notAfter: "2026-99-99'), /no date|no date in/],
    ['names that are escaped', (text) => text.replace(/- "/, '- "\\u0041'), /names that cannot be read/],
    ['nothing', () => '', /does not open with/],
  ]
  for (const [what, change, why] of cases) {
    const error = await refusal(() => readManifest(change(readme), 'there/README.md'))
    t.equal(error.code, 'LAYOUT_INVALID', what)
    t.match(error.message, why, what)
  }
})

t.test('a manifest that names a hostile archive is refused before anything is read there', async (t) => {
  const names = [
    '../../etc',
    '/etc/ssl',
    '%2e%2e/x',
    `${material.archive}/..`,
    `${material.archive}%2f..`,
    `../${material.archive}`,
    `"${material.archive}"`,
    `${material.archive} `,
    'latest',
    '.',
    '2026-05-30_E5F6A7B8',
  ]
  for (const name of names) {
    const reads: string[] = []
    const hostile = new Map(files).set('latest/README.md', readme.replace(/archive: .*/, `archive: ${name}`))
    const error = await refusal(() => readLatest(sourceOf(hostile, reads), { now, timeout: 0 }, signal))
    t.same([error.code, reads], ['LAYOUT_INVALID', ['latest/README.md']], name)
    t.match(error.message, 'is not the name of an archive', name)
    t.notOk(error.passing)
  }
})

t.test('an archive is proven by its own manifest', async (t) => {
  const set = await readArchive(sourceOf(files), material.archive, { now, name: 'lineage' }, signal)
  t.equal(set.bundle.name, 'lineage')
  t.equal(fullchain(set.bundle), material.fullchain)
  t.equal(set.files['privkey.pem'].reveal(), material.key)
  const at = (file: string) => `${material.archive}/${file}`
  const broken: [string, ReadonlyMap<string, string>, string][] = [
    ['a file of another certificate', new Map(files).set(at('privkey.pem'), other.key), 'LAYOUT_MIXED'],
    ['a file is missing', new Map([...files].filter(([key]) => key !== at('chain.pem'))), 'LAYOUT_MISSING'],
    ['no manifest', new Map([...files].filter(([key]) => key !== at('README.md'))), 'LAYOUT_MISSING'],
    [
      'all of another certificate',
      new Map([...stored(other)].map(([key, body]) => [key.replace(other.archive, material.archive), body])),
      'LAYOUT_INVALID',
    ],
  ]
  for (const [what, there, code] of broken) {
    const error = await refusal(() => readArchive(sourceOf(there), material.archive, { now }, signal))
    t.same([error.code, error.passing], [code, false], what)
  }
  const late = () => new Date(material.notAfter.getTime() + 1)
  const expired = await refusal(() => readArchive(sourceOf(files), material.archive, { now: late }, signal))
  t.equal(expired.code, 'CERTIFICATE_EXPIRED')
  t.match(expired.message, `oss://memory/${material.archive}/: `)
})

t.test('sums that are right do not make a wrong set right', async (t) => {
  const { manifest, files: texts } = await readArchive(sourceOf(files), material.archive, { now }, signal)
  const folder = material.archive
  const lie = async (change: Partial<Record<(typeof pemFileNames)[number], string>>, head = (text: string) => text) => {
    const told = { ...texts, 'privkey.pem': material.key, ...change }
    const sums = new Map(pemFileNames.map((file) => [file, told[file]] as const))
    const { createHash } = await import('node:crypto')
    const hashes = new Map([...sums].map(([file, body]) => [file, createHash('sha256').update(body).digest('hex')]))
    const there = new Map([...sums].map(([file, body]): [string, string] => [`${folder}/${file}`, body]))
    there.set(`${folder}/README.md`, head(writeManifest(bundleOf(material), hashes)))
    return refusal(() => readArchive(sourceOf(there), folder, { now }, signal))
  }
  t.equal((await lie({ 'privkey.pem': other.key })).code, 'KEY_MISMATCH')
  t.match(await lie({ 'fullchain.pem': material.leaf }), { code: 'LAYOUT_INVALID', message: /fullchain\.pem/ })
  t.match(
    await lie({
      'cert.pem': material.chain,
      'chain.pem': material.leaf,
      'fullchain.pem': material.chain + material.leaf,
    }),
    { code: 'LAYOUT_INVALID', message: /cert\.pem that does not begin/ },
  )
  t.match(
    await lie({
      'cert.pem': other.leaf,
      'privkey.pem': other.key,
      'fullchain.pem': other.fullchain,
    }),
    { code: 'LAYOUT_INVALID', message: new RegExp(`certificate of ${other.archive}`) },
  )
  t.match(await lie({}, (text) => text.replace(/notAfter: "..../, 'notAfter: "2999')), {
    message: /other names or dates/,
  })
  t.match(await lie({}, (text) => text.replace('"example.com"', '"example.org"')), { message: /other names or dates/ })
  t.equal(manifest.archive, folder)
})

t.test('latest/ is read where the archive holds another chain, and nothing while both are mixed', async (t) => {
  const longer = material.leaf + material.chain + root.pem
  const bare = stored(material, material.leaf)
  const mended = new Map(
    [...stored(material)].map(([key, body]) => [
      key,
      bare.get(key) && key.startsWith('2') ? (bare.get(key) ?? '') : body,
    ]),
  )
  t.not(bare.get('latest/README.md'), mended.get('latest/README.md'), 'with a chain and without are two sets')
  const { set, from } = await readLatest(sourceOf(mended), { now, timeout: 0 }, signal)
  t.same([from, set.files['chain.pem']], ['latest', material.chain])
  t.equal((await readLatest(sourceOf(stored(material, longer)), { now, timeout: 0 }, signal)).from, 'archive')
  const lone = new Map([...files].filter(([key]) => key.startsWith('latest/')))
  t.equal((await readLatest(sourceOf(lone), { now, timeout: 0 }, signal)).from, 'latest', 'no archive')

  // Between the PEM files and the manifest of another: the archive that the manifest names is whole.
  const going = new Map([...files, ...[...stored(other)].filter(([key]) => key !== 'latest/README.md')])
  t.equal((await readLatest(sourceOf(going), { now, timeout: 0 }, signal)).set.manifest.archive, material.archive)
  const stuck = new Map([...going].filter(([key]) => !key.startsWith(material.archive)))
  const error = await refusal(() => readLatest(sourceOf(stuck), { now, timeout: 0 }, signal))
  t.same([error.code, error.passing], ['LAYOUT_MIXED', true])
  t.match(error.message, /cert\.pem, privkey\.pem, fullchain\.pem/, 'the chain is the same')

  const waits: string[] = []
  const done = (): void => void stuck.set('latest/README.md', stored(other).get('latest/README.md') ?? '')
  const onWait = (mix: CertError): void => {
    waits.push(mix.code)
    done()
  }
  const after = await readLatest(sourceOf(stuck), { now, timeout: 30_000, onWait }, signal)
  t.same([waits, after.set.manifest.archive], [['LAYOUT_MIXED'], other.archive], 'read again until it is whole')
})

t.test('what may not be read', async (t) => {
  const hint = 'it has to be readable by this user'
  const closed = (file: string, code: 'FILE_UNREADABLE' | 'CLOUD_REFUSED'): LayoutSource => ({
    ...sourceOf(files),
    read: async (path, how) =>
      path.endsWith(file)
        ? { status: 'refused', error: new CertError(code, `${path} cannot be read`, { hint }) }
        : await sourceOf(files).read(path, how),
  })
  const hintOf = async (source: LayoutSource) =>
    (await refusal(() => readLatest(source, { now, timeout: 0 }, signal))).hint
  t.equal(await hintOf(closed('privkey.pem', 'FILE_UNREADABLE')), hint, 'it is there')
  t.equal(await hintOf(closed('README.md', 'FILE_UNREADABLE')), hint)
  t.equal(await hintOf(closed('privkey.pem', 'CLOUD_REFUSED')), hint, 'its manifest is')
  t.equal(await hintOf(closed('README.md', 'CLOUD_REFUSED')), `${hint}; or nothing has been deployed there yet`)
})

t.test('what is too large is not taken', async (t) => {
  const large = new Map(files).set('latest/README.md', 'x'.repeat(1024 * 1024 + 1))
  const error = await refusal(() => readLatest(sourceOf(large), { now, timeout: 0 }, signal))
  t.match(error, { code: 'LAYOUT_INVALID', message: /larger than 1 MiB/ })
})
