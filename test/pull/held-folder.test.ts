// A folder that is somebody else's to move: what goes into it goes nowhere else, in this process.
import { mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, statSync, symlinkSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { systemCode } from '../../src/errors.js'
import { HeldFolder, readPlainFile } from '../../src/targets/held-folder.js'
import { PulledFolder } from '../../src/targets/pulled-folder.js'

const signal = new AbortController().signal
const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8)
const codeOf = (error: unknown): string | undefined => systemCode(error)
// Elsewhere there is no way to reach into a folder but by its path.
const only = process.platform === 'linux' ? {} : { skip: 'Linux alone' }

t.test('a link in the place of a folder that is held', only, async (t) => {
  const root = t.testdir({ victim: {}, folder: {} })
  const [folder, moved, victim] = ['folder', 'moved', 'victim'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ]
  const before = modeOf(victim)
  await HeldFolder.within(folder, async (held) => {
    renameSync(folder, moved)
    symlinkSync(victim, folder)
    await held.give({ mode: 0o711, gid: -1 })
    await writeFile(held.at('file'), 'text')
  })
  t.same([modeOf(victim), readdirSync(victim)], [before, []])
  t.same([modeOf(moved), readdirSync(moved)], ['711', ['file']])
  t.equal(await HeldFolder.open(folder).catch(codeOf), 'ENOTDIR', 'a link is not opened')
  symlinkSync(join(moved, 'file'), join(moved, 'link'))
  t.equal((await readPlainFile(join(moved, 'file'))).text, 'text')
  t.equal(await readPlainFile(join(moved, 'link')).catch(codeOf), 'ELOOP')
})

t.test('a link in the place of the folder of all, during a pull', only, async (t) => {
  const root = t.testdir({ victim: {} })
  const [directory, moved, victim] = ['certs', 'moved', 'victim'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ]
  const rights = { mode: 0o600, owner: undefined }
  const place = new PulledFolder({ directory, rights, combined: false, userId: process.getuid?.() })
  const folder = '2026-05-30_e5f6a7b8-1f2e3d4c'
  await place.locked({ signal }, async () => {
    renameSync(directory, moved)
    symlinkSync(victim, directory)
    mkdirSync(join(victim, '2001-01-01_00000000-00000000'))
    await place.setDue({ from: null, to: folder })
    await place.point(folder)
    await place.prune([folder])
    t.same(await place.due(), { from: null, to: folder })
  })
  t.same(readdirSync(victim), ['2001-01-01_00000000-00000000'])
  t.equal(readlinkSync(join(moved, 'current')), folder)
  t.match(readFileSync(join(moved, '.acme-oss/due.json'), 'utf8'), folder)
  t.same(readdirSync(join(moved, '.acme-oss/locks')), [])
})
