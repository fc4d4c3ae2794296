import { describe, expect, test } from '@jest/globals';
import { given } from '#testing';
import { fold, type Meta } from '../decider.js';
import { type WebhookEvent } from './webhook.events.js';
import { webhook, type WebhookCommand } from './webhook.js';

const now = '2026-05-01T10:00:09.000Z';
const meta: Meta = { now, actor: 'ann', correlationId: 'c', commandId: 'o' };
const by = (actor: string): Meta => ({ ...meta, actor });
const settings = { url: 'https://example.com/hook', types: ['RunFailed'], processes: [], secret: { sealed: 's' } };
const created: WebhookEvent = { type: 'WebhookCreated', data: { ...settings, owner: 'ann', by: 'ann', at: now } };
const disabled: WebhookEvent = { type: 'WebhookDisabled', data: { reason: 'no answer', at: now } };
const deleted: WebhookEvent = { type: 'WebhookDeleted', data: { by: 'ann', at: now } };
const replayed: WebhookEvent = { type: 'WebhookReplayed', data: { from: '7', by: 'ann', at: now } };

const create: WebhookCommand = { type: 'CreateWebhook', meta, data: settings };
const remove = (actor: string, any = false): WebhookCommand => ({
  type: 'DeleteWebhook',
  meta: by(actor),
  data: { any },
});
const replay = (actor: string, any = false): WebhookCommand => ({
  ...{ type: 'ReplayWebhook', meta: by(actor), data: { any, from: '7' } },
});
const disable: WebhookCommand = { type: 'DisableWebhook', meta: by('system'), data: { reason: 'no answer' } };

test('is created once; its secret is a reference', () => {
  given(webhook, []).when(create).then([created]);
  given(webhook, [created]).when(create).then([]);
});

test('is disabled while it is active', () => {
  given(webhook, [created]).when(disable).then([disabled]);
  for (const events of [[], [created, disabled], [created, deleted]]) given(webhook, events).when(disable).then([]);
});

describe.each([
  ['replay', replay, replayed],
  ['delete', remove, deleted],
] as const)('%s', (_, order, event) => {
  test('by its owner, and by whoever may touch what is not his own', () => {
    given(webhook, [created]).when(order('ann')).then([event]);
    given(webhook, [created, disabled]).when(order('ann')).then([event]);
    const byRoot = JSON.parse(JSON.stringify(event).replace('"by":"ann"', '"by":"root"')) as WebhookEvent;
    given(webhook, [created]).when(order('root', true)).then([byRoot]);
  });

  test('to anybody else it is not there, nor when it is gone', () => {
    given(webhook, [created]).when(order('bob')).thenRefused('not-found', 'WEBHOOK_NOT_FOUND');
    given(webhook, []).when(order('ann', true)).thenRefused('not-found', 'WEBHOOK_NOT_FOUND');
    given(webhook, [created, deleted]).when(order('ann')).thenRefused('not-found', 'WEBHOOK_NOT_FOUND');
  });
});

test('a replay makes a disabled one active again; what a newer version says is passed over', () => {
  given(webhook, [created, disabled, replayed]).when(disable).then([disabled]);
  const state = fold(webhook, [created]);
  expect(webhook.evolve(state, JSON.parse('{"type":"WebhookBlessed","data":{}}'))).toEqual(state);
});
