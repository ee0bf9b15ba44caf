"""Fine-tuning for all trainers: whole optimiser steps through `transformers.Trainer`, resumable, without pickle."""
