import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CertificateBundle } from '../../src/certificate/bundle.js'
import { normalize } from '../../src/certificate/normalize.js'
import { CertError } from '../../src/errors.js'
import { Secret } from '../../src/secret.js'
import { directoryLayout } from '../../src/targets/directory.js'
import type { Outcome } from '../../src/targets/target.js'
import {
  daysFromNow,
  fileNames,
  isRoot,
  type Material,
  mintMaterial,
  openWorld,
  pemFileNames,
  proveSilence,
  provesFiles,
  resultOf,
  stepError,
} from '../deploy-world.js'

const newFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'acme-oss-directory-'))
  t.teardown(() => {
    chmodSync(folder, 0o700)
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

const bundleOf = ({ fullchain, key }: Pick<Material, 'fullchain' | 'key'>): CertificateBundle =>
  normalize({ certificates: fullchain, privateKey: new Secret(key) }, new Date()).bundle

const trust = { allowUntrusted: false, now: () => new Date() }

interface Deployed {
  readonly archive: Outcome
  readonly latest: Outcome
}

const deploy = async (
  directory: string,
  material: Pick<Material, 'fullchain' | 'key'>,
  allowOlder = false,
): Promise<Deployed> => {
  const steps = directoryLayout({ directory, allowOlder, trust }).plan(bundleOf(material), { others: [] })
  const [archive, latest] = steps
  if (archive?.id !== 'archive' || latest?.id !== 'latest' || steps.length !== 2) throw new Error('other steps')
  const { signal } = new AbortController()
  return { archive: await archive.run(signal), latest: await latest.run(signal) }
}

const refused = async (run: Promise<unknown>): Promise<CertError> => {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof CertError)) throw new Error(`not refused: ${String(error)}`)
  return error
}

const reads =
  (folder: string) =>
  (file: string): Buffer | undefined =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file)) : undefined

/** Everything that tells whether somebody wrote: names, link, inodes, times. */
const imprint = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { ino, mtimeMs, mode, size } = lstatSync(join(directory, name))
      return [name, ino, mtimeMs, mode, size].join(' ')
    })

const mode = (path: string): string => (statSync(path).mode & 0o7777).toString(8)

const material = await mintMaterial()
const older = await mintMaterial({ notBefore: daysFromNow(-60), notAfter: daysFromNow(30) })

t.test('the layout', async (t) => {
  for (const umask of [0, 0o22, 0o77]) {
    const directory = join(newFolder(t), 'made', 'on the way')
    const before = process.umask(umask)
    t.same(await deploy(directory, material), { archive: { status: 'changed' }, latest: { status: 'changed' } })
    process.umask(before)
    t.same(readdirSync(directory).sort(), [material.archive, 'latest'].sort(), 'an archive, a link, nothing else')
    t.ok(lstatSync(join(directory, 'latest')).isSymbolicLink())
    t.equal(readlinkSync(join(directory, 'latest')), material.archive, 'relative, so that the folder can be moved')
    t.same(readdirSync(join(directory, 'latest')).sort(), [...fileNames].sort())
    provesFiles(t, material, reads(join(directory, 'latest')))
    provesFiles(t, material, reads(join(directory, material.archive)))
    for (const file of fileNames) {
      t.equal(mode(join(directory, 'latest', file)), file === 'privkey.pem' ? '600' : '644', `${file}, umask ${umask}`)
    }
  }
})

t.test('the same again writes nothing', async (t) => {
  const directory = newFolder(t)
  await deploy(directory, material)
  const before = imprint(directory)
  t.same(await deploy(directory, material), {
    archive: { status: 'unchanged', note: 'already archived' },
    latest: { status: 'unchanged', note: 'already there' },
  })
  t.same(imprint(directory), before)
})

t.test('from one certificate to the next and back', async (t) => {
  const directory = newFolder(t)
  await deploy(directory, older)
  t.same(await deploy(directory, material), { archive: { status: 'changed' }, latest: { status: 'changed' } })
  t.equal(readlinkSync(join(directory, 'latest')), material.archive)
  t.same(readdirSync(directory).sort(), [older.archive, material.archive, 'latest'].sort(), 'the old archive stays')

  const late = await deploy(directory, older)
  t.match(late.latest, { status: 'unchanged', note: /^a newer certificate is there .*--allow-older/ })
  provesFiles(t, material, reads(join(directory, 'latest')))

  const missing = newFolder(t)
  await deploy(missing, material)
  t.match(await deploy(missing, older), { archive: { status: 'changed' }, latest: { status: 'unchanged' } })
  provesFiles(t, older, reads(join(missing, older.archive)))

  t.match(await deploy(directory, older, true), { latest: { status: 'changed' } }, '--allow-older')
  provesFiles(t, older, reads(join(directory, 'latest')))
})

t.test('only one of the two dates is earlier', async (t) => {
  const there = await mintMaterial({ notBefore: daysFromNow(-10), notAfter: daysFromNow(80) })
  const shortLived = await mintMaterial({ notBefore: daysFromNow(-5), notAfter: daysFromNow(2) })
  const longLived = await mintMaterial({ notBefore: daysFromNow(-20), notAfter: daysFromNow(300) })
  for (const next of [shortLived, longLived]) {
    const directory = newFolder(t)
    await deploy(directory, there)
    t.equal((await deploy(directory, next)).latest.status, 'changed')
    provesFiles(t, next, reads(join(directory, 'latest')))
  }
})

t.test('the same leaf with a mended chain', async (t) => {
  const directory = newFolder(t)
  const bare = { ...material, fullchain: material.leaf, chain: '' }
  await deploy(directory, bare)
  provesFiles(t, bare, reads(join(directory, 'latest')))

  t.match(await deploy(directory, material), { archive: { status: 'unchanged' }, latest: { status: 'changed' } })
  provesFiles(t, material, reads(join(directory, 'latest')))
  provesFiles(t, bare, reads(join(directory, material.archive)))
  t.equal(mode(join(directory, 'latest', 'privkey.pem')), '600')

  const before = imprint(directory)
  t.match(await deploy(directory, material), { latest: { status: 'unchanged' } }, 'once more: nothing')
  t.same(imprint(directory), before)

  const stoodIn = join(directory, readlinkSync(join(directory, 'latest')))
  t.match(await deploy(directory, bare), { latest: { status: 'changed' } })
  provesFiles(t, bare, reads(join(directory, 'latest')))
  t.ok(existsSync(stoodIn), 'another run may be about to point at what has just been made')

  const hourAgo = new Date(Date.now() - 3_700_000)
  await deploy(directory, material)
  utimesSync(stoodIn, hourAgo, hourAgo)
  t.match(await deploy(directory, bare), { latest: { status: 'changed' } })
  t.same(readdirSync(directory).sort(), [material.archive, 'latest'].sort(), 'what stood in for it is gone')
})

t.test('an archive that was left half-written', async (t) => {
  for (const file of fileNames) {
    const directory = newFolder(t)
    await deploy(directory, material)
    rmSync(join(directory, 'latest'))
    rmSync(join(directory, material.archive, file))
    t.match(await deploy(directory, material), { archive: { status: 'changed' }, latest: { status: 'changed' } }, file)
    t.equal(readlinkSync(join(directory, 'latest')), material.archive)
    provesFiles(t, material, reads(join(directory, 'latest')))
  }
})

t.test('an archive that was damaged is not served', async (t) => {
  for (const file of fileNames) {
    const directory = newFolder(t)
    mkdirSync(join(directory, material.archive))
    writeFileSync(join(directory, material.archive, file), 'half of')
    await deploy(directory, material)
    provesFiles(t, material, reads(join(directory, 'latest')))
    t.equal(readFileSync(join(directory, material.archive, file), 'utf8'), 'half of', 'and not overwritten')
  }
})

t.test('links that lead nowhere or elsewhere', async (t) => {
  const elsewhere = newFolder(t)
  await deploy(elsewhere, older)
  for (const target of ['nowhere', join(elsewhere, 'latest'), join(elsewhere, older.archive), '.']) {
    const directory = newFolder(t)
    symlinkSync(target, join(directory, 'latest'))
    await deploy(directory, material)
    t.equal(readlinkSync(join(directory, 'latest')), material.archive)
    provesFiles(t, material, reads(join(directory, 'latest')))
    provesFiles(t, older, reads(join(elsewhere, 'latest')))
  }
  const directory = newFolder(t)
  const newest = newFolder(t)
  await deploy(newest, material)
  symlinkSync(join(newest, material.archive), join(directory, 'latest'))
  t.match(await deploy(directory, older), { latest: { status: 'unchanged', note: /newer/ } }, 'what it leads to counts')
})

t.test('latest is a real folder', async (t) => {
  for (const content of [undefined, 'README.md', 'cert.pem']) {
    const directory = newFolder(t)
    mkdirSync(join(directory, 'latest'))
    if (content !== undefined) writeFileSync(join(directory, 'latest', content), 'mine')
    const error = await refused(deploy(directory, material))
    t.match(error, { code: 'FOLDER_UNWRITABLE', passing: false })
    t.match(error.hint, /latest is a real folder and has to be a symbolic link: move it away/)
    provesFiles(t, material, reads(join(directory, material.archive)))
    t.same(readdirSync(join(directory, 'latest')), content === undefined ? [] : [content], 'it is left alone')
    t.same(readdirSync(directory).sort(), [material.archive, 'latest'].sort(), 'no temporary link is left')

    rmSync(join(directory, 'latest'), { recursive: true })
    t.match(await deploy(directory, material), { archive: { status: 'unchanged' }, latest: { status: 'changed' } })
  }
})

t.test('a file is in the way', async (t) => {
  const folder = newFolder(t)
  writeFileSync(join(folder, 'file'), '')
  for (const directory of [join(folder, 'file'), join(folder, 'file', 'below')]) {
    const error = await refused(deploy(directory, material))
    t.equal(error.code, 'FOLDER_UNWRITABLE')
    t.match(error.message, /writing the layout into .*file.*: (ENOTDIR|EEXIST)/)
  }
  const directory = newFolder(t)
  writeFileSync(join(directory, material.archive), '')
  t.equal((await refused(deploy(directory, material))).code, 'FOLDER_UNWRITABLE')
  t.notOk(existsSync(join(directory, 'latest')))

  const other = newFolder(t)
  writeFileSync(join(other, 'latest'), 'a file of somebody')
  const error = await refused(deploy(other, material))
  t.equal(error.code, 'FOLDER_UNWRITABLE')
  t.equal(readFileSync(join(other, 'latest'), 'utf8'), 'a file of somebody')
})

t.test('a link in the place of an archive is not followed', async (t) => {
  const directory = newFolder(t)
  const elsewhere = newFolder(t)
  chmodSync(elsewhere, 0o700)
  symlinkSync(elsewhere, join(directory, material.archive))
  const error = await refused(deploy(directory, material))
  t.match(error, { code: 'FOLDER_UNWRITABLE', message: /ENOTDIR/, hint: /move away/ })
  t.same(readdirSync(elsewhere), [])
  t.equal(mode(elsewhere), '700')
})

t.test('latest leads in a circle', async (t) => {
  const directory = newFolder(t)
  symlinkSync('latest', join(directory, 'latest'))
  t.match(await refused(deploy(directory, material)), { code: 'FOLDER_UNWRITABLE', message: /ELOOP/, hint: /ls -la/ })
})

t.test('a folder without the right to write', { skip: isRoot && 'root may write anywhere' }, async (t) => {
  const directory = newFolder(t)
  chmodSync(directory, 0o500)
  const error = await refused(deploy(directory, material))
  t.match(error, { code: 'FOLDER_UNWRITABLE', message: /EACCES/, hint: /ls -ld/, passing: false })
  chmodSync(directory, 0o700)
  t.match(await deploy(directory, material), { latest: { status: 'changed' } })
})

t.test('who reads while it changes sees one certificate or the other', async (t) => {
  const directory = newFolder(t)
  await deploy(directory, older)
  const keyOf = new Map([older, material].map((one) => [one.leaf, one.key]))
  let swaps = 0
  let looks = 0
  const reading = (async () => {
    while (swaps < 40) {
      const folder = join(directory, readlinkSync(join(directory, 'latest')))
      const [leaf = '', key = ''] = ['cert.pem', 'privkey.pem'].map((file) => readFileSync(join(folder, file), 'utf8'))
      if (keyOf.get(leaf) !== key) throw new Error('a key beside the certificate of another')
      readFileSync(join(directory, 'latest', 'fullchain.pem'))
      looks++
      await new Promise(setImmediate)
    }
  })()
  for (; swaps < 40; swaps++) await deploy(directory, swaps % 2 === 0 ? material : older, true)
  await reading
  t.ok(looks > 40, `${looks} looks`)
})

t.test('several at once', async (t) => {
  const directory = newFolder(t)
  await Promise.all([older, material, older, material].map((one) => deploy(directory, one)))
  provesFiles(t, older, reads(join(directory, older.archive)))
  provesFiles(t, material, reads(join(directory, material.archive)))
  t.notOk(readdirSync(directory).some((name) => name.startsWith('.')))
})

t.test('what it is', (t) => {
  const target = directoryLayout({ directory: '/etc/ssl/example.com', allowOlder: true, trust })
  t.match(target, {
    kind: 'directory',
    identity: 'directory /etc/ssl/example.com',
    name: 'directory /etc/ssl/example.com',
    serves: [],
  })
  t.same(target.settings, { path: '/etc/ssl/example.com', 'allow-older': true }, 'all it takes to do the same again')
  t.same(directoryLayout({ directory: '/a', allowOlder: false, trust }).settings, { path: '/a' })
  t.same(
    target.plan(bundleOf(material), { others: [] }).map(({ does }) => does),
    [`archive 5 files in /etc/ssl/example.com/${material.archive}/`, 'point /etc/ssl/example.com/latest at it'],
    'planning touches nothing',
  )
  t.end()
})

t.test('by the command', async (t) => {
  const world = await openWorld(t)
  const run = await world.deploy(material, ['--directory', 'relative/tls/', '--json'])
  t.equal(run.code, 0, run.stderr)
  const directory = world.path('relative', 'tls')
  provesFiles(t, material, reads(join(directory, 'latest')))
  t.equal(resultOf(run).stages[0]?.target, `directory ${directory}`, 'named in full, whatever was typed')
  t.equal(world.emulator.connections, 0)

  rmSync(join(directory, 'latest'))
  mkdirSync(join(directory, 'latest'))
  const failing = await world.deploy(material, ['--directory', directory, '--json'])
  t.equal(failing.code, 1)
  t.match(stepError(resultOf(failing)), { code: 'FOLDER_UNWRITABLE', hint: /move it away/, vendor: null })
  t.match(resultOf(failing).pending, [{ step: 'latest', error: { code: 'FOLDER_UNWRITABLE' } }])

  const inBucket = await world.deploy(material)
  t.equal(inBucket.code, 0)
  for (const file of [...pemFileNames, 'README.md']) {
    const key = `certs/example.com/${material.archive}/${file}`
    t.equal(
      world.objects.get(key)?.body.toString(),
      readFileSync(join(directory, material.archive, file), 'utf8'),
      `${file} is the same in both`,
    )
  }
})

await proveSilence(t)
