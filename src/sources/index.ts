import { acmeSh } from './acme-sh.js'
import { certbot } from './certbot.js'
import { dehydrated } from './dehydrated.js'
import type { HookSource } from './hook.js'
import { lego } from './lego.js'
import { uacme } from './uacme.js'

/** The clients whose hooks we answer, by the word behind `acme-oss hook`. */
export const hookSources: Readonly<Record<string, HookSource>> = {
  certbot,
  'acme.sh': acmeSh,
  dehydrated,
  lego,
  uacme,
}
