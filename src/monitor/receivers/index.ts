import type { ReceiverKind } from '../../config/alerts.js'
import { dingtalk } from './dingtalk.js'
import { feishu } from './feishu.js'
import type { Receiver } from './receiver.js'
import { slack } from './slack.js'
import { webhook } from './webhook.js'
import { wecom } from './wecom.js'

/** Everybody who can be told. */
export const receivers: Readonly<Record<ReceiverKind, Receiver>> = { webhook, dingtalk, feishu, wecom, slack }
